//! Command lines as Docker's users write them, through every verb's parser: what is accepted, and the first line of what is
//! said about the rest.

use super::{find, flags};

fn read(line: &str) -> Result<(), String> {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let (verb, path, rest) = find(&words).expect("a verb");
    match flags::parse(verb, path, rest) {
        Ok(_) => Ok(()),
        Err(failure) => Err(failure.to_string().lines().next().unwrap_or_default().to_owned()),
    }
}

#[test]
fn accepted() {
    for line in [
        "ps -aqf name=web --no-trunc --format={{.ID}} -n 3",
        "container ls --all=false --size",
        "images -q --filter dangling=true busybox",
        "logs -ft --tail=10 --since 1h --until 5m web",
        "logs -n1 web",
        "stop -t 5 a b",
        "stop --time=5 a",
        "restart -t=0 a",
        "kill -sHUP a",
        "rm -fv a b",
        "rmi -f a b",
        "inspect -sf {{.Id}} --type container a",
        "top web -o pid,args",
        "top web aux",
        "port web 80/tcp",
        "cp -aL web:/a ./b",
        "cp - web:/a",
        "update -m 1g --memory-swap -1 --cpus .5 --restart on-failure:3 a b",
        "commit -p=false -c CMD -a me -m text web a:b",
        "commit --pause web",
        "save -o x a b",
        "load -qi x",
        "import -c CMD --platform linux/arm64 - a:b",
        "pull -q --platform linux/arm64 a:b",
        "push -a a",
        "history -H=false -q --no-trunc a",
        "search --limit 5 -f stars=3 a",
        "login -u me --password-stdin reg.example",
        "logout",
        "network create -d bridge --subnet 10.0.0.0/8,fd00::/64 --gateway 10.0.0.1 --ipv6 --ipv4=false -o a=b a",
        "network connect --alias a --ip 10.0.0.2 --gw-priority 5 a b",
        "network disconnect -f a b",
        "network prune -f --filter until=1h",
        "volume create -d local -o type=tmpfs --label a=b",
        "volume prune -af",
        "system prune -af --volumes",
        "system df -v",
        "events --since 1h -f type=container --format json",
        "info -f json",
        "version --format {{.Server.Version}}",
        "stats --no-stream -a",
        "context create a --docker host=ssh://b,skip-tls-verify=true --description text",
        "completion bash",
    ] {
        assert_eq!(read(line), Ok(()), "{line}");
    }
}

#[test]
fn refused_in_dockers_words() {
    for (line, text) in [
        ("ps x", "naru: 'naru ps' accepts no arguments"),
        ("ps --nope", "unknown flag: --nope"),
        ("ps -Z", "unknown shorthand flag: 'Z' in -Z"),
        (
            "ps -f foo",
            "invalid argument \"foo\" for \"-f, --filter\" flag: bad format of filter (expected name=value)",
        ),
        (
            "ps -n x",
            "invalid argument \"x\" for \"-n, --last\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        ("stop", "naru: 'naru stop' requires at least 1 argument"),
        (
            "stop -t x a",
            "invalid argument \"x\" for \"-t, --timeout\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        ("tag a", "naru: 'naru tag' requires 2 arguments"),
        ("images a b", "naru: 'naru images' requires at most 1 argument"),
        ("update -m x a", "invalid argument \"x\" for \"-m, --memory\" flag: invalid size: 'x'"),
        (
            "update --cpus x a",
            "invalid argument \"x\" for \"--cpus\" flag: failed to parse x as a rational number",
        ),
        (
            "network create --ipv6=x a",
            "invalid argument \"x\" for \"--ipv6\" flag: strconv.ParseBool: parsing \"x\": invalid syntax",
        ),
        (
            "history --human=x a",
            "invalid argument \"x\" for \"-H, --human\" flag: strconv.ParseBool: parsing \"x\": invalid syntax",
        ),
    ] {
        assert_eq!(read(line), Err(text.to_owned()), "{line}");
    }
}
