//! An ordinary user for tests that are run by root: shell text, to be put before a script that root runs in a private mount namespace,
//! which is the only one that knows him. Needs util-linux, and Debian's `uidmap` unless `ALONE` is set.

/// Defines `make_user FOLDER HOME BINARY`, which makes the user `rootless` (54321, with the subordinate ids 600000 to 665535), puts
/// the binary into the folder as `naru`, and makes `run` there; with `ALONE` set nobody can map more ids than his own. And
/// `exec_as_user COMMAND…`.
pub const ORDINARY_USER: &str = r#"
    make_user() {
        { cat /etc/passwd; echo "rootless:x:54321:54321::$2:/bin/sh"; } > "$1/passwd"
        echo 'rootless:600000:65536' > "$1/ids"
        mount --bind "$1/passwd" /etc/passwd
        mount --bind "$1/ids" /etc/subuid
        mount --bind "$1/ids" /etc/subgid
        touch "$1/naru"
        mount --bind "$3" "$1/naru"
        test -z "$ALONE" || for helper in newuidmap newgidmap; do
            test ! -e /usr/bin/$helper || mount --bind /dev/null /usr/bin/$helper
        done
        mkdir -p "$1/run"
        chown 54321:54321 "$1/run"
        chmod 700 "$1/run"
        chmod 755 "$1"
    }
    exec_as_user() { exec setpriv --reuid 54321 --regid 54321 --clear-groups "$@"; }
"#;
