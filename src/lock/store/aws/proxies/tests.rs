use super::*;

fn direct(no_proxy: &str, host: &str, port: &str) -> bool {
    let proxies = Proxies {
        exceptions: exceptions_of(no_proxy),
        ..Proxies::default()
    };
    !proxies.apply_to(host, port)
}

#[test]
fn this_machine_is_reached_without_a_proxy() {
    for host in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "::1"] {
        assert!(direct("", host, "80"), "{host}");
    }
    for host in ["localhost.example", "10.0.0.1", "a"] {
        assert!(!direct("", host, "80"), "{host}");
    }
}

#[test]
fn exceptions_follow_gos_rules() {
    for (exceptions, host, port, is_direct) in [
        ("*", "a.b", "80", true),
        ("x, * ,y", "a.b", "80", true),
        ("b.c", "a.b.c", "80", true),
        ("b.c", "b.c", "80", true),
        ("b.c", "ab.c", "80", false),
        (".b.c", "a.b.c", "80", true),
        (".b.c", "b.c", "80", false),
        ("*.b.c", "b.c", "80", false),
        ("*.b.c", "a.b.c", "80", true),
        ("B.C", "A.b.c", "80", true),
        ("b.c:8000", "b.c", "8000", true),
        ("b.c:8000", "b.c", "80", false),
        ("10.0.0.0/8", "10.1.2.3", "80", true),
        ("10.0.0.0/8", "11.1.2.3", "80", false),
        ("10.0.0.0/8", "a.b", "80", false),
        ("10.0.0.1", "10.0.0.1", "80", true),
        ("10.0.0.1:81", "10.0.0.1", "80", false),
        ("fd00::/16", "fd00::5", "80", true),
        ("[fd00::5]:80", "fd00::5", "80", true),
        ("fd00::5", "[fd00::5]", "80", true),
        ("0.1", "10.0.0.1", "80", false),
        (":80,,", "a", "80", false),
    ] {
        assert_eq!(
            direct(exceptions, host, port),
            is_direct,
            "{exceptions} {host}:{port}"
        );
    }
}

#[test]
fn the_backend_beats_the_environment() {
    let environment = |name: &str| {
        let value = match name {
            "http_proxy" => "plain:1",
            "HTTPS_PROXY" => "http://secure",
            "NO_PROXY" => "a",
            _ => return None,
        };
        Some(value.into())
    };
    let mut settings = AwsSettings {
        variables: Variables::of(&environment),
        ..AwsSettings::default()
    };
    let both = |settings: &AwsSettings| {
        Proxies::of(settings)
            .both()
            .map(|one| one.map(str::to_owned))
    };
    let expected = [
        Some("http://plain:1".to_owned()),
        Some("http://secure".to_owned()),
    ];
    assert_eq!(both(&settings), expected);
    settings.http_proxy = Some(String::new());
    assert_eq!(both(&settings), [None, Some("http://secure".to_owned())]);
    settings.https_proxy = Some(String::new());
    assert_eq!(both(&settings), [None, None]);
    settings.no_proxy = Some("b".to_owned());
    let proxies = Proxies::of(&settings);
    assert!(proxies.apply_to("a", "80") && !proxies.apply_to("b", "80"));
    settings.variables = Variables::default();
    settings.http_proxy = Some("x".to_owned());
    settings.https_proxy = None;
    assert_eq!(
        both(&settings),
        [Some("http://x".to_owned()), Some("http://x".to_owned())]
    );
}
