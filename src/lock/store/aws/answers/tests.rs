use super::*;

#[test]
fn an_endpoint_excludes_path_and_user() {
    for (uri, endpoint) in [
        ("http://127.0.0.1:80/a/b?c=d", "http://127.0.0.1:80"),
        ("https://a.b", "https://a.b"),
        ("https://u:p@a.b:1?x=@c", "https://a.b:1"),
    ] {
        assert_eq!(endpoint_of(uri), endpoint);
    }
}

#[test]
fn the_service_is_that_of_the_signature() {
    let signed = |service: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKIA/20261127/us-east-1/{service}/aws4_request, \
             SignedHeaders=host, Signature=0"
        )
    };
    assert_eq!(service_of(&signed("dynamodb")), "DynamoDB");
    assert_eq!(service_of(&signed("s3")), "S3");
    assert_eq!(service_of(&signed("sts")), "STS");
    assert_eq!(service_of(""), "the AWS service");
}

#[test]
fn durations_use_a_fitting_unit() {
    for (seconds, words) in [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172_800, "2 days"),
    ] {
        assert_eq!(duration_text(seconds), words);
    }
}

#[test]
fn pages_and_redirects_count_only_if_the_service_marked_them() {
    let is_another = |is_aws, status: u16, headers: &[(&'static str, &'static str)]| {
        let asked = Asked {
            endpoint: "http://db".into(),
            service: "DynamoDB",
            is_head: false,
            is_aws,
            signed: None,
        };
        let mut answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
        for (name, value) in headers {
            answer.headers_mut().insert(*name, *value);
        }
        asked.not_the_service(&answer).is_some()
    };
    let page = ("content-type", "Text/HTML; charset=utf-8");
    let id = ("x-amzn-requestid", "1");
    let xml = ("content-type", "application/xml");
    let json = ("content-type", "application/x-amz-json-1.0");
    for (status, headers, another) in [
        (200, &[page][..], true),
        (403, &[page], true),
        (200, &[page, id], false),
        (404, &[page, ("x-amz-request-id", "1")], false),
        (302, &[], true),
        (307, &[xml], false),
        (301, &[("x-amz-id-2", "1")], false),
        (304, &[], false),
        (407, &[], true),
        (511, &[], true),
        (502, &[page], false),
        (200, &[json], false),
        (200, &[], false),
        (400, &[json], false),
    ] {
        assert_eq!(
            is_another(true, status, headers),
            another,
            "{status} {headers:?}"
        );
    }
    // The metadata service of a machine that has no role.
    assert!(!is_another(false, 404, &[page]));
}

#[test]
fn an_answer_gets_ten_seconds() {
    assert_eq!(NoAnswer::TooSlow.to_string(), "no answer within 10 s");
}
