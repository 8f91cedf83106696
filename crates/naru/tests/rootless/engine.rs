//! Containers, images and the engine's own life.

use crate::world::as_user;

#[test]
fn a_user_runs_containers_without_root() {
    let script = r#"
        naru run --rm --network none hello | head -n 1
        naru info --format '{{json .SecurityOptions}}' 2> /dev/null | grep --only-matching name=rootless
        naru info 2>&1 > /dev/null | grep --only-matching 'no cgroup is delegated to this user'
        say $(stat -c '%U %a' "$XDG_RUNTIME_DIR/naru/naru.sock") $(ls .local/share/naru | grep layers)
        naru run --rm --network none box sh -c '
            id -u; cat /proc/self/uid_map; touch /x; chown 33:44 /x; stat -c %u:%g /x; grep -c " / overlay" /proc/mounts'
        naru run --rm --network none --user 1000:1000 --memory 64m box id -u 2>&1
        naru run --detach --name one --network none --volume "$PWD:/data" box sh -c 'echo told; exec sleep 1000' > /dev/null
        wait_for 'test "$(naru logs one)" = told'
        naru exec one sh -c 'id -u; touch /data/made'
        say made by $(stat -c %U made)
        naru exec --user 7 one touch /proc/self/fd/1 && say exec as another
        # The engine dies; the next one goes where its containers are.
        killed=$(engine)
        kill -KILL $killed
        wait_for "gone $killed"
        say $(naru ps --format '{{.Names}} {{.State}}')
        naru run --rm --network container:one --pid container:one box sh -c 'cat /proc/1/cmdline | tr "\0" " "; echo'
        naru exec one id -u
        naru pause one 2>&1 | grep --only-matching 'has no cgroup to freeze'
        naru commit one two > /dev/null
        say two: $(naru run --rm --network none two echo works)
        naru stop --time 0 one
        say $(naru inspect --format '{{.State.ExitCode}}' one)
        naru rm one
        naru rmi --force two > /dev/null
        say left: $(naru ps --all --quiet | wc -l)
    "#;
    let Some(said) = as_user(script, false, "") else { return };
    let expected = [
        "Hello from a container made by Naru.",
        "name=rootless",
        "no cgroup is delegated to this user",
        "rootless 660 layers",
        "0",
        "         0      54321          1",
        "         1     600000      65536",
        "33:44",
        "1",
        "WARNING: No cgroup is delegated to this user: limits are discarded",
        "1000",
        "0",
        "made by rootless",
        "exec as another",
        "one running",
        "sleep 1000 ",
        "0",
        "has no cgroup to freeze",
        "two: works",
        "one",
        "137",
        "one",
        "left: 0",
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_user_without_a_range_of_ids_is_alone() {
    let script = r#"
        naru info 2>&1 > /dev/null | grep --only-matching 'install newuidmap (package uidmap)'
        mkdir image && cd image && mkdir etc && touch etc/owned
        { cat ../rootfs/bin/busybox > busybox; chmod 755 busybox; mkdir bin; mv busybox bin; ln -s busybox bin/sh; }
        tar --create --owner 33 --group 44 . | naru_in import - others > /dev/null
        naru run --rm --network none --tty others /bin/busybox sh -c 'busybox id -u; busybox stat -c %u:%g /etc/owned' | tr -d '\r'
        naru run --rm --network none --user 5 others /bin/busybox id 2>&1 | grep --only-matching 'setuid 5: invalid argument'
    "#;
    let script = format!("naru_in() {{ \"$NARU\" \"$@\"; }}\n{script}");
    let Some(said) = as_user(&script, true, "") else { return };
    assert_eq!(said, ["install newuidmap (package uidmap)", "0", "0:0", "setuid 5: invalid argument"]);
}
