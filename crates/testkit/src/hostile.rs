//! Heads that two servers could read differently (list A of reliability §7, and more of the kind): what parsers are known
//! to take that others do not. Not here: what becomes of them, which is for tests to say.

/// Requests below `/tiles` of which no two servers can be trusted to read the same, each with the key `{key}`: 400 or 431,
/// and the connection is closed.
pub fn hostile_heads() -> Vec<String> {
    let mut heads = Vec::new();
    let post = |fields: &str, body: &str| {
        format!("POST /tiles/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {{key}}\r\n{fields}\r\n{body}")
    };
    for length in [
        "3\r\nContent-Length: 3",
        "3\r\nContent-Length: 30",
        "3, 3",
        "0003",
        "+3",
        "-3",
        "0x3",
        "3 3",
        "",
        "3;",
        "18446744073709551619",
        "\u{660}",
        "3.0",
        "1e1",
        "3,",
        ",3",
    ] {
        heads.push(post(&format!("Content-Length: {length}\r\n"), "abc"));
    }
    for coding in [
        "chunked\r\nTransfer-Encoding: chunked",
        "gzip, chunked",
        "chunked, identity",
        "xchunked",
        "identity",
        "",
        "\u{b}chunked",
        "chunked, chunked",
        "chunked;q=1",
        "\"chunked\"",
        "chunked\u{0}",
        "CHUNKED, x",
        "chunked\r\nContent-Length: 3",
        "chunked\r\ncontent-length: 0",
        "trailers, chunked",
        "deflate",
    ] {
        heads.push(post(&format!("Transfer-Encoding: {coding}\r\n"), "3\r\nabc\r\n0\r\n\r\n"));
    }
    for fields in [
        "Content_Length: 3\r\n",
        "Transfer_Encoding: chunked\r\n",
        "Content-Length : 3\r\n",
        "Content-Length\t: 3\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Content-Length: 3\r\n",
        "X: a\r\n Content-Length: 3\r\n",
        "X: a\r\n\tTransfer-Encoding: chunked\r\n",
        "X: a\nContent-Length: 3\r\n",
        "X: a\rContent-Length: 3\r\n",
        "X: a\u{0}b\r\n",
        "X\u{0}: a\r\n",
        "X(y): a\r\n",
        ": a\r\n",
        "nocolon\r\n",
        "X: \u{7f}\r\n",
        "X: \u{1}\r\n",
        "Host: b\r\n",
        "Host: a\r\n",
        "host: a\r\n",
        "Expect: y 100-continue\r\n",
        "Expect: 200-ok\r\n",
        "Expect: 100-continue\r\nExpect: 100-continue\r\n",
        "X: a\r\n\u{c}: b\r\n",
        "X: \u{ff}\r\n",
        "É: a\r\n",
    ] {
        heads.push(post(&format!("{fields}Content-Length: 0\r\n"), ""));
    }
    for line in [
        "get /tiles/x HTTP/1.1",
        "GET  /tiles/x HTTP/1.1",
        "GET\t/tiles/x HTTP/1.1",
        "GET /tiles/x  HTTP/1.1",
        "GET /tiles/x HTTP/1.1 ",
        " GET /tiles/x HTTP/1.1",
        "GET /tiles/x HTTP/1.2",
        "GET /tiles/x HTTP/2.0",
        "GET /tiles/x HTTP/0.9",
        "GET /tiles/x http/1.1",
        "GET /tiles/x HTTP/1.1x",
        "GET /tiles/x",
        "GET",
        "GET /tiles/x#a HTTP/1.1",
        "GET /tiles/\"x HTTP/1.1",
        "GET tiles/x HTTP/1.1",
        "GET * HTTP/1.1",
        "GET ftp://a/tiles/x HTTP/1.1",
        "GET http://b/tiles/x HTTP/1.1",
        "GET http://u@a/tiles/x HTTP/1.1",
        "CONNECT a:80 HTTP/1.1",
        "CONNECT /tiles/x HTTP/1.1",
        "G(T /tiles/x HTTP/1.1",
        "GET /tiles/\u{1} HTTP/1.1",
        "GET /tiles/ä HTTP/1.1",
        "\r\nGET /tiles/x HTTP/1.1",
        "\nGET /tiles/x HTTP/1.1",
        "GET /tiles/x HTTP/1.1\n",
        "PRI * HTTP/2.0",
        "GET http:///tiles/x HTTP/1.1",
    ] {
        heads.push(format!("{line}\r\nHost: a\r\nAuthorization: Bearer {{key}}\r\n\r\n"));
    }
    for host in ["", "a b", "a,b", "a/b", "u@a", "a:port", "a:99999", "[::1", "a?b", "a#b", "a\\b"] {
        heads.push(format!("GET /tiles/x HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {{key}}\r\n\r\n"));
    }
    heads.push("GET /tiles/x HTTP/1.1\r\nAuthorization: Bearer {key}\r\n\r\n".to_owned());
    for method in ["GET", "HEAD", "OPTIONS"] {
        let head = format!("{method} /tiles/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {{key}}\r\n");
        heads.push(format!("{head}Content-Length: 3\r\n\r\nabc"));
        heads.push(format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
    }
    heads.push(
        "POST /tiles/x HTTP/1.0\r\nHost: a\r\nAuthorization: Bearer {key}\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n0\r\n\r\n"
            .to_owned(),
    );
    heads.push("GET /tiles/x HTTP/1.1\nHost: a\nAuthorization: Bearer {key}\n\n".to_owned());
    heads.push(post(&"X: a\r\n".repeat(101), ""));
    heads.push(post(&format!("X: {}\r\n", "a".repeat(40 * 1024)), ""));
    heads.push(format!(
        "GET /tiles/{} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {{key}}\r\n\r\n",
        "x".repeat(10 * 1024)
    ));
    for chunks in [
        "3;a=b\r\nabc\r\n0\r\n\r\n",
        "3;\r\nabc\r\n0\r\n\r\n",
        "3;\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nabc",
        "3 \r\nabc\r\n0\r\n\r\n",
        "0\r\nContent-Length: 3\r\n\r\n",
        "0\r\nAuthorization: Bearer x\r\n\r\n",
        "0\r\nX : a\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
    ] {
        heads.push(post("Transfer-Encoding: chunked\r\n", chunks));
    }
    heads
}
