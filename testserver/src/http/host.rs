//! The `Host` of a request, as Kestrel checks it.

use hyper::Version;
use hyper::header::HOST;
use hyper::http::request::Parts;

/// There is one (before HTTP/1.1 it may be missing), it can be a host, and it is the target's if that has one.
pub(super) fn is_fine(head: &Parts) -> bool {
    let mut hosts = head.headers.get_all(HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    let Some(host) = host else {
        return head.version < Version::HTTP_11;
    };
    another.is_none() && host.to_str().is_ok_and(|host| can_be(host) && is_the_targets(head, host))
}

/// A name, an IPv4 address or an IPv6 one in brackets, perhaps with a port; or nothing at all.
fn can_be(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').map(|address| address.split_once(']')) {
        None => host.find(':').map_or((host, ""), |colon| host.split_at(colon)),
        Some(None) => return false,
        Some(Some((address, port))) => {
            let in_address = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            return address.len() >= 3 && address.bytes().all(in_address) && is_port(port);
        }
    };
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!$&'()-._~".contains(&byte);
    host.is_empty() || !name.is_empty() && name.bytes().all(in_name) && is_port(port)
}

fn is_port(text: &str) -> bool {
    let digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    text.is_empty() || text.strip_prefix(':').is_some_and(digits)
}

/// An absolute target names its host once more; port 80 may be said or not.
fn is_the_targets(head: &Parts, host: &str) -> bool {
    if head.uri.scheme().is_none() {
        return true;
    }
    let target = head.uri.host().unwrap_or_default().to_ascii_lowercase();
    match head.uri.port_u16() {
        None | Some(80) => host == target || host.strip_suffix(":80") == Some(&target),
        Some(port) => host.rsplit_once(':') == Some((&target, &port.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    #[test]
    fn hosts_are_told_from_other_text() {
        for host in ["", "x", "x:80", "127.0.0.1:8080", "[::1]", "[::1]:80", "my_host!"] {
            assert!(can_be(host), "{host}");
        }
        for other in ["a b", "a/b", "u@h", "x:", "x:y", ":80", "[::1", "[]", "[x::1]", "[::1]x", "a,b", "a%20b"] {
            assert!(!can_be(other), "{other}");
        }
    }

    #[test]
    fn a_target_with_a_host_must_agree() {
        let agrees = |target: &str, host: &str| {
            let request = Request::get(target).header(HOST, host).body(()).unwrap();
            is_fine(&request.into_parts().0)
        };
        for (target, host) in [("/", "y"), ("http://X/a", "x"), ("http://x/", "x:80"), ("http://x:81/", "x:81")] {
            assert!(agrees(target, host), "{target} {host}");
        }
        for (target, host) in [("http://x/", "y"), ("http://x:81/", "x"), ("http://x/", "x:81")] {
            assert!(!agrees(target, host), "{target} {host}");
        }
    }
}
