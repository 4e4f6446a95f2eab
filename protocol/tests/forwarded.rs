//! Who a request is from, as proxies say it.

use roomcast_protocol::upgrade::{HopField, parse_request};

/// The hops in the fields of a request, last first; what is no address is `-`.
fn hops(field: HopField, fields: &str) -> String {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let request = parse_request(head.as_bytes()).unwrap();
    let hops = request.forwarded.hops(field);
    let hops = hops.map(|hop| hop.map_or("-".to_owned(), |address| address.to_string()));
    hops.collect::<Vec<_>>().join(" ")
}

#[test]
fn x_forwarded_for_is_read_from_the_right() {
    for (fields, expected) in [
        ("", ""),
        ("X-Forwarded-For:\r\n", ""),
        ("X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1"),
        (
            "x-forwarded-for: 192.0.2.1 ,\t2001:db8::1\r\n",
            "2001:db8::1 192.0.2.1",
        ),
        // Several lines are one list (RFC 9110 section 5.3).
        (
            "X-Forwarded-For: a, 192.0.2.1\r\nAccept: */*\r\nX-Forwarded-For: 192.0.2.2\r\n",
            "192.0.2.2 192.0.2.1 -",
        ),
        (
            "X-Forwarded-For: 192.0.2.1:80, [2001:db8::1]:80, [2001:db8::2]\r\n",
            "2001:db8::2 2001:db8::1 192.0.2.1",
        ),
        ("X-Forwarded-For: ::ffff:192.0.2.1\r\n", "192.0.2.1"),
        (
            "X-Forwarded-For: unknown, 192.0.2.256, 192.0.2.1x, [::1]x, [::1\r\n",
            "- - - - -",
        ),
        ("X-Forwarded-For: \"192.0.2.1\"\r\n", "-"),
        ("X-Forwarded-For: ,, 192.0.2.1,,\r\n", "192.0.2.1"),
        ("X-Forwarded-For: \u{e4}\r\n", "-"),
        ("Forwarded: for=192.0.2.1\r\n", ""),
    ] {
        assert_eq!(hops(HopField::Customary, fields), expected, "{fields:?}");
    }
}

#[test]
fn forwarded_is_read_from_the_right() {
    for (fields, expected) in [
        ("", ""),
        ("Forwarded: for=192.0.2.1\r\n", "192.0.2.1"),
        (
            "Forwarded: For=192.0.2.60;proto=http;by=203.0.113.43, FOR=\"[2001:db8:cafe::17]:4711\"\r\n",
            "2001:db8:cafe::17 192.0.2.60",
        ),
        (
            "forwarded: by=192.0.2.1 ; for = \"192.0.2.2:_x\"\r\n",
            "192.0.2.2",
        ),
        (
            "Forwarded: for=_hidden, for=unknown, by=192.0.2.1, for=\"\"\r\n",
            "- - - -",
        ),
        ("Forwarded: for=192.0.2.1;for=192.0.2.2\r\n", "-"),
        // What anybody wrote left of it changes nothing of what the proxy has put at the right.
        (
            "Forwarded: for=\"never ended, for=192.0.2.1\r\n",
            "192.0.2.1 -",
        ),
        ("Forwarded: for=\"a\\\", for=192.0.2.1\r\n", "192.0.2.1 -"),
        ("X-Forwarded-For: 192.0.2.1\r\n", ""),
    ] {
        assert_eq!(hops(HopField::Standard, fields), expected, "{fields:?}");
    }
}
