//! `info`: the client and the engine described, as a document for templates; the text is in `info_words`.

use std::rc::Rc;

use api::SystemInfo;
use term::template::{Nil, Struct, Value};

use super::{schema, version};

pub use super::info_words::{client_text, server_text};

/// Both as one object: the engine's own fields, and the client's below `ClientInfo`. `server` is the engine's answer as it
/// came; without one its fields are empty and `error` says why.
pub fn document(
    client: &version::Client,
    server: Option<&[u8]>,
    error: Option<&str>,
) -> Result<Value, serde_json::Error> {
    let empty = serde_json::to_vec(&SystemInfo::default())?;
    let value = schema::OBJECTS.read(server.unwrap_or(&empty))?;
    let Value::Struct(info) = value else { return Ok(value) };
    let mut info = Rc::unwrap_or_clone(info);
    if let Some(error) = error {
        info.fields.insert("ServerErrors".to_owned(), Value::list([Value::string(error)]));
    }
    info.fields.insert("ClientInfo".to_owned(), client_info(client));
    info.type_name = "system.dockerInfo";
    Ok(Value::Struct(Rc::new(info)))
}

fn client_info(client: &version::Client) -> Value {
    let mut fields = vec![("Debug", Value::Bool(false))];
    fields.extend(client.fields().into_iter().filter(|(name, _)| *name != "ApiVersion"));
    fields.push(("Plugins", Value::list([])));
    fields.push(("Warnings", Value::Nil(Nil::Pointer)));
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Value::Struct(Rc::new(Struct { fields, ..Struct::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use term::template::Template;

    #[test]
    fn templates_see_both() {
        let client = version::Client {
            version: "0.1.0".to_owned(),
            api_version: "1.51".to_owned(),
            default_api_version: "1.51".to_owned(),
            context: "default".to_owned(),
        };
        let info =
            document(&client, Some(br#"{"ID":"X","NCPU":2,"Driver":"overlay2","Warnings":null}"#), None)
                .unwrap();
        let render = |text: &str, value: &Value| Template::parse("", text).unwrap().execute(value);
        assert_eq!(
            render("{{.ID}} {{.NCPU}} {{.Driver}} {{.ClientInfo.Version}} {{.Warnings}}", &info).unwrap(),
            "X 2 overlay2 0.1.0 []"
        );
        let none = document(&client, None, Some("no engine")).unwrap();
        assert_eq!(render("{{.ServerVersion}}|{{.ServerErrors}}", &none).unwrap(), "|[no engine]");
        assert_eq!(
            render("{{.Nope}}", &info).unwrap_err().0,
            "template: :1:2: executing \"\" at <.Nope>: can't evaluate field Nope in type system.dockerInfo"
        );
    }
}
