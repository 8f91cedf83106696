//! The template language case by case; expected texts are those of Go's `text/template` as docker uses it.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::*;

const INSPECT: &str = r#"{
    "Id": "abc", "Name": "/web", "RestartCount": 0,
    "State": {"Status": "running", "Running": true, "Pid": 42, "ExitCode": 0},
    "Args": ["-c", "sleep 5"],
    "Config": {"Env": ["A=1", "B=2"], "Labels": {"b": "2", "a": "1", "com.x/y": "z"}, "Cmd": ["sh"], "Entrypoint": null},
    "HostConfig": {"Binds": null, "PortBindings": {}, "CpuShares": 1.5},
    "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "53/udp": null}}
}"#;

fn schema() -> Schema {
    Schema {
        untyped: false,
        kind: |_, name| match name {
            "Labels" => Kind::Map(Zero::String),
            "Ports" | "PortBindings" => Kind::Map(Zero::Slice),
            "Binds" | "Entrypoint" | "Env" | "Cmd" => Kind::Slice,
            _ => Kind::Plain,
        },
        absent: |name| (name == "Health").then_some(Value::Nil(Nil::Pointer)),
        alias: |name| (name == "ID").then_some("Id"),
    }
}

fn render(template: &str) -> Result<String, String> {
    let data = schema().read(INSPECT.as_bytes()).unwrap();
    let template = Template::parse("", template).map_err(|error| error.0)?;
    template.execute(&data).map_err(|error| error.0)
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (template, expected) in cases {
        assert_eq!(render(template).as_deref(), Ok(*expected), "{template}");
    }
}

#[track_caller]
fn fails(cases: &[(&str, &str)]) {
    for (template, expected) in cases {
        assert_eq!(render(template), Err((*expected).to_owned()), "{template}");
    }
}

#[test]
fn fields_and_how_values_print() {
    check(&[
        ("plain", "plain"),
        ("{{.Id}} {{.ID}}", "abc abc"),
        ("{{.State.Pid}} {{.State.Running}}", "42 true"),
        ("{{.State}}", "{running true 42 0}"),
        ("{{.Args}}", "[-c sleep 5]"),
        ("{{.Config.Labels}}", "map[a:1 b:2 com.x/y:z]"),
        ("{{.Config.Entrypoint}}{{.HostConfig.Binds}}", "[][]"),
        ("{{.HostConfig.PortBindings}}", "map[]"),
        ("{{.NetworkSettings.Ports}}", "map[53/udp:<nil> 80/tcp:[{0.0.0.0 8080}]]"),
        ("{{.HostConfig.CpuShares}}", "1.5"),
        ("{{.Config.Labels.a}} {{.Config.Labels.nope}}", "1 <no value>"),
        ("{{$.Id}}{{.State.Health}}", "abc<nil>"),
    ]);
}

#[test]
fn control() {
    check(&[
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{if .RestartCount}}a{{else if eq .State.Pid 42}}b{{else}}c{{end}}", "b"),
        ("{{if .State.Health}}{{.State.Health.Status}}{{end}}", ""),
        ("{{with .State}}{{.Pid}}{{end}}{{with .HostConfig.Binds}}x{{else}}none{{end}}", "42none"),
        ("{{range .Config.Env}}{{.}};{{end}}", "A=1;B=2;"),
        ("{{range $i, $e := .Config.Env}}{{$i}}={{$e}} {{end}}", "0=A=1 1=B=2 "),
        ("{{range $k, $v := .Config.Labels}}{{$k}}:{{$v}},{{end}}", "a:1,b:2,com.x/y:z,"),
        (
            "{{range $p, $b := .NetworkSettings.Ports}}{{$p}}->{{if $b}}{{(index $b 0).HostPort}}{{end}} {{end}}",
            "53/udp-> 80/tcp->8080 ",
        ),
        ("{{range .HostConfig.Binds}}x{{else}}empty{{end}}", "empty"),
        ("{{range .Config.Env}}{{if eq . \"B=2\"}}{{break}}{{end}}{{.}}{{end}}", "A=1"),
        ("{{range .Config.Env}}{{if eq . \"A=1\"}}{{continue}}{{end}}{{.}}{{end}}", "B=2"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{$n := 0}}{{range .Config.Env}}{{$n = len .}}{{end}}{{$n}}", "3"),
        ("{{$x := \"a\"}}{{if true}}{{$x := \"b\"}}{{$x}}{{end}}{{$x}}", "ba"),
        ("a {{- .Id -}}  b", "aabcb"),
        ("a{{/* nothing */}}b {{- /* trimmed */ -}} c", "abc"),
    ]);
}

#[test]
fn functions() {
    check(&[
        ("{{index .Config.Labels \"com.x/y\"}}{{index .Config.Labels \"nope\"}}", "z"),
        ("{{index .Args 1}}", "sleep 5"),
        ("{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}", "8080"),
        ("{{index .NetworkSettings.Ports \"1/tcp\"}}", "[]"),
        ("{{slice .Name 1}} {{slice .Name 1 3}}", "web we"),
        ("{{len .Args}} {{len .Name}} {{len .Config.Labels}} {{len .HostConfig.Binds}}", "2 4 3 0"),
        ("{{json .Config.Labels}}", r#"{"a":"1","b":"2","com.x/y":"z"}"#),
        ("{{json .State}}", r#"{"Status":"running","Running":true,"Pid":42,"ExitCode":0}"#),
        ("{{json .HostConfig.Binds}} {{json \"<a>&\\n\"}}", "null \"<a>&\\n\""),
        ("{{join .Args \"+\"}} {{split \"a,b\" \",\"}}", "-c+sleep 5 [a b]"),
        ("{{upper .Id}} {{lower \"ABC\"}} {{title \"hello big world\"}}", "ABC abc Hello Big World"),
        ("[{{pad .Id 2 3}}] [{{pad \"\" 2 3}}] {{truncate \"abcdef\" 3}}", "[  abc   ] [] abc"),
        (
            "{{print 1 2 \"a\" \"b\" 3}} {{println \"x\" 1}}",
            "1 2a b3 x 1\n".replace("2a b3", "2ab3").as_str(),
        ),
        (
            "{{printf \"%s-%d %v %q %5d|%-5s|%05d %t %x\" .Id 42 .Args \"q\" 7 \"l\" 42 true 255}}",
            "abc-42 [-c sleep 5] \"q\"     7|l    |00042 true ff",
        ),
        ("{{printf \"%d %s\" \"x\"}}", "%!d(string=x) %!s(MISSING)"),
        ("{{printf \"%.2f %6.1f %g\" 3.14159 2.5 1e30}}", "3.14    2.5 1e+30"),
        ("{{and 1 0}} {{and 1 2}} {{or 0 \"\" 3}} {{not true}}", "0 2 3 false"),
        (
            "{{eq 1 2 1}} {{ne \"a\" \"b\"}} {{lt 1 2}} {{le 2 2}} {{gt 1.5 0.5}} {{ge \"a\" \"b\"}}",
            "true true true true true false",
        ),
        ("{{.Id | printf \"%s-%s\" \"x\" | upper}}", "X-ABC"),
        ("{{\"quoted\\t\\x41\\u00e9\"}}{{`raw\\n`}}{{'a'}}", "quoted\tAéraw\\n97"),
        ("{{0x1f}} {{-3}} {{1_000}} {{1e3}}", "31 -3 1000 1000"),
        ("{{if and .State.Running (gt .State.Pid 0)}}ok{{end}}", "ok"),
        ("{{(.State).Pid}} {{with $s := .State}}{{$s.Pid}}{{end}}", "42 42"),
        ("{{and false (index .Args 99)}}", "false"),
        ("{{urlquery \"a b&c\"}}", "a+b%26c"),
    ]);
}

#[test]
fn what_does_not_parse() {
    fails(&[
        ("{{.Foo", "template: :1: unclosed action"),
        ("{{", "template: :1: unclosed action"),
        ("{{}}", "template: :1: missing value for command"),
        ("{{if}}x{{end}}", "template: :1: missing value for if"),
        ("{{if .A}}", "template: :1: unexpected EOF"),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ("a\n{{else}}", "template: :2: unexpected {{else}}"),
        ("{{foo .A}}", "template: :1: function \"foo\" not defined"),
        ("{{$x}}", "template: :1: undefined variable \"$x\""),
        ("{{\"abc}}", "template: :1: unterminated quoted string"),
        ("{{(.A}}", "template: :1: unclosed left paren"),
        ("{{.A)}}", "template: :1: unexpected right paren"),
        ("{{1a}}", "template: :1: bad number syntax: \"1a\""),
        ("{{.A | }}", "template: :1: missing value for command"),
        ("{{.A | .}}", "template: :1: non executable command in pipeline stage 2"),
        ("{{break}}", "template: :1: {{break}} outside {{range}}"),
        ("{{/* open", "template: :1: unclosed comment"),
    ]);
}

#[test]
fn what_does_not_fit_the_data() {
    fails(&[
        ("{{.Nope}}", "template: :1:2: executing \"\" at <.Nope>: map has no entry for key \"Nope\""),
        (
            "x\n {{.State.Nope}}",
            "template: :2:9: executing \"\" at <.State.Nope>: map has no entry for key \"Nope\"",
        ),
        (
            "{{.State.Health.Status}}",
            "template: :1:8: executing \"\" at <.State.Health.Status>: map has no entry for key \"Health\"",
        ),
        ("{{.Id.X}}", "template: :1:5: executing \"\" at <.Id.X>: can't evaluate field X in type string"),
        (
            "{{index .Args 7}}",
            "template: :1:2: executing \"\" at <index .Args 7>: error calling index: index out of range: 7",
        ),
        (
            "{{if eq .Id 1}}{{end}}",
            "template: :1:5: executing \"\" at <eq .Id 1>: error calling eq: incompatible types for comparison",
        ),
        (
            "{{len .State.Pid}}",
            "template: :1:2: executing \"\" at <len .State.Pid>: error calling len: len of type int",
        ),
        (
            "{{upper}}",
            "template: :1:2: executing \"\" at <upper>: wrong number of args for upper: want 1 got 0",
        ),
        ("{{range .Id}}{{end}}", "template: :1:8: executing \"\" at <.Id>: range can't iterate over abc"),
    ]);
}

fn row(label: Labels) -> Value {
    let mut row =
        Struct { type_name: "*formatter.ContainerContext", label: Some(label), ..Struct::default() };
    row.fields.insert("ID".to_owned(), Value::string("abc"));
    Value::Struct(Rc::new(row))
}

#[test]
fn rows_have_labels_and_headers_keep_their_text() {
    let template = Template::parse("", "{{lower .ID}} {{.Label \"com.x.my-key\"}}").unwrap();
    let labels = BTreeMap::from([("com.x.my-key".to_owned(), "v".to_owned())]);
    assert_eq!(template.execute(&row(Labels::Of(labels))).unwrap(), "abc v");
    assert_eq!(template.execute(&row(Labels::Of(BTreeMap::new()))).unwrap(), "abc ");
    let template = Template::parse("", "{{upper .ID}} {{.Label \"com.x.my-key\"}}").unwrap();
    assert_eq!(template.execute_header(&row(Labels::Header)).unwrap(), "abc my key");
    let mut arrow =
        Struct { type_name: "*formatter.ContainerContext", label: Some(Labels::Header), ..Struct::default() };
    arrow.fields.insert("Ports".to_owned(), Value::string("80->80"));
    assert_eq!(Value::Struct(Rc::new(arrow)).to_json(), r#"{"Ports":"80-\u003e80"}"#);
    let template = Template::parse("", "{{.Nope}}").unwrap();
    assert_eq!(
        template.execute(&row(Labels::Header)).unwrap_err().0,
        "template: :1:2: executing \"\" at <.Nope>: can't evaluate field Nope in type *formatter.ContainerContext"
    );
}

#[test]
fn untyped_json_keeps_what_go_would_show() {
    let data = Value::from_json(br#"{"b":{"x":null},"a":[1,2.5,"s"]}"#).unwrap();
    let render = |text: &str| Template::parse("", text).unwrap().execute(&data).unwrap();
    assert_eq!(render("{{.}}"), "map[a:[1 2.5 s] b:map[x:<nil>]]");
    assert_eq!(render("{{.c}}{{.c.d}}"), "<no value><no value>");
    assert_eq!(
        data.to_json_indented("    "),
        "{\n    \"a\": [\n        1,\n        2.5,\n        \"s\"\n    ],\n    \"b\": {\n        \"x\": null\n    }\n}"
    );
}

#[test]
fn nothing_a_user_types_makes_it_panic() {
    // Every prefix and every single-character deletion of a template with everything in it.
    let full = "a{{- $x, $y := .A -}}{{if eq (index .Args 0) \"q\\n\" `r` 'c' 0x1f -1.5e3 nil}}{{range $i, $e := .Config.Labels}}{{$e | printf \"%-5.2q%*d\" 3 | json}}{{break}}{{else}}{{continue}}{{end}}{{else if with}}{{end}}{{/* c */}}é";
    for at in (0..=full.len()).filter(|at| full.is_char_boundary(*at)) {
        let _ = render(&full[..at]);
        let _ = render(&full[at..]);
        let mut text = full.to_owned();
        if at < full.len() {
            text.remove(at);
        }
        let _ = render(&text);
    }
}
