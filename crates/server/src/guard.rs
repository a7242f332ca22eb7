//! Who may ask: names of this server only, pages of this server only, and holders of the token.
//!
//! A page of another site may point a name of its own at this machine (DNS rebinding); its requests
//! then carry that name as `Host` and `Origin`, and are refused. An address that is written as
//! numbers cannot be pointed elsewhere.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Uri, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::problem::{Code, Failure};
use crate::settings::Settings;

/// What a server knows of its clients.
pub(crate) struct Guard {
    /// Names with ports, in small letters.
    hosts: Vec<String>,
    /// Any address in numbers with this port will do: the server listens on all of the machine's.
    any_address: Option<u16>,
    token: Option<[u8; 32]>,
}

impl Guard {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (ip, port) = (settings.address.ip(), settings.address.port());
        let mut hosts = Vec::new();
        let mut add = |name: &str| {
            hosts.push(format!("{name}:{port}"));
            if port == 80 {
                hosts.push(name.to_owned());
            }
        };
        if ip.is_loopback() || ip.is_unspecified() {
            ["127.0.0.1", "localhost", "[::1]"].into_iter().for_each(&mut add);
        }
        add(&written(ip));
        for host in &settings.hosts {
            let host = host.to_ascii_lowercase();
            if has_port(&host) {
                hosts.push(host);
            } else {
                // Behind a proxy the port is not ours.
                hosts.push(format!("{host}:{port}"));
                hosts.push(host);
            }
        }
        let token = settings.token.as_ref().map(|token| Sha256::digest(token).into());
        Self { hosts, any_address: ip.is_unspecified().then_some(port), token }
    }

    /// Checks that a request is for this server, and from no page of another one.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Failure> {
        let hint = "names of this server are those it was started with: see --allow-host";
        let refuse = |host: &str| {
            let detail = format!("host {host:?} is no name of this server");
            Failure::new(Code::ForbiddenHost, detail).with_hint(hint)
        };
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok()).unwrap_or_default();
        if hosts.next().is_some() || !self.is_ours(host) {
            return Err(refuse(host));
        }
        if let Some(authority) = uri.authority()
            && !self.is_ours(authority.as_str())
        {
            return Err(refuse(authority.as_str()));
        }
        for origin in headers.get_all(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            if !host.is_some_and(|host| self.is_ours(host)) {
                let detail = format!("origin {origin:?} is not this server");
                let failure = Failure::new(Code::ForbiddenOrigin, detail);
                return Err(failure.with_hint("ask from the server's own page, or from no page"));
            }
        }
        Ok(())
    }

    fn is_ours(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        if self.hosts.contains(&host) {
            return true;
        }
        let Some(port) = self.any_address else { return false };
        let address = |host: &str| host.parse::<SocketAddr>().is_ok_and(|a| a.port() == port);
        address(&host)
    }

    /// Checks that a client knows the token, in a time that tells nothing about it.
    pub(crate) fn authorize(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let Some(token) = &self.token else { return Ok(()) };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        // Digests are of one length, whatever was sent.
        let digest: [u8; 32] = Sha256::digest(given.unwrap_or_default()).into();
        if bool::from(digest.ct_eq(token)) && given.is_some() {
            return Ok(());
        }
        let detail = if given.is_some() { "the token is not right" } else { "no token" };
        let hint = "send the header Authorization: Bearer TOKEN";
        Err(Failure::new(Code::Unauthorized, detail).with_hint(hint))
    }
}

/// An address as it stands in a URL.
pub(crate) fn written(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// Whether a name ends in a port.
fn has_port(host: &str) -> bool {
    match host.rsplit_once(':') {
        Some((name, port)) => {
            let address = name.starts_with('[') && !name.ends_with(']');
            !address && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(address: &str, hosts: &[&str]) -> Guard {
        let mut settings = Settings::new(address.parse().unwrap());
        settings.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        settings.token = Some("secret".into());
        Guard::new(&settings)
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn code(guard: &Guard, pairs: &[(&'static str, &str)]) -> Option<Code> {
        guard.check(&Uri::from_static("/"), &headers(pairs)).err().map(|failure| failure.code)
    }

    #[test]
    fn only_names_of_this_machine_with_the_port() {
        let guard = guard("127.0.0.1:7070", &[]);
        for host in ["127.0.0.1:7070", "localhost:7070", "[::1]:7070", "LOCALHOST:7070"] {
            assert_eq!(code(&guard, &[("host", host)]), None, "{host}");
        }
        for host in [
            "evil.example:7070",
            "localhost",
            "localhost:80",
            "127.0.0.1:7071",
            "localhost.evil.example:7070",
            "127.0.0.2:7070",
            "",
        ] {
            assert_eq!(code(&guard, &[("host", host)]), Some(Code::ForbiddenHost), "{host}");
        }
        assert_eq!(code(&guard, &[]), Some(Code::ForbiddenHost));
        let twice = [("host", "localhost:7070"), ("host", "localhost:7070")];
        assert_eq!(code(&guard, &twice), Some(Code::ForbiddenHost));
        let uri = Uri::from_static("http://evil.example:7070/v1/models");
        let refused = guard.check(&uri, &headers(&[("host", "localhost:7070")])).unwrap_err();
        assert_eq!(refused.code, Code::ForbiddenHost);
    }

    #[test]
    fn only_pages_of_this_server() {
        let guard = guard("127.0.0.1:7070", &["lab.example"]);
        let host = ("host", "localhost:7070");
        for origin in ["http://localhost:7070", "http://127.0.0.1:7070", "https://lab.example"] {
            assert_eq!(code(&guard, &[host, ("origin", origin)]), None, "{origin}");
        }
        for origin in ["null", "http://evil.example", "http://localhost:8080", "file://", ""] {
            let refused = Some(Code::ForbiddenOrigin);
            assert_eq!(code(&guard, &[host, ("origin", origin)]), refused, "{origin}");
        }
    }

    #[test]
    fn other_names_are_given() {
        let named = guard("10.0.0.1:80", &["lab.example", "lab.example:8443", "[fe80::1]"]);
        for host in ["10.0.0.1", "10.0.0.1:80", "lab.example", "lab.example:8443", "[fe80::1]:80"] {
            assert_eq!(code(&named, &[("host", host)]), None, "{host}");
        }
        assert_eq!(code(&named, &[("host", "localhost:80")]), Some(Code::ForbiddenHost));
        let all = guard("0.0.0.0:7070", &[]);
        for host in ["192.168.1.5:7070", "[fe80::1]:7070", "localhost:7070"] {
            assert_eq!(code(&all, &[("host", host)]), None, "{host}");
        }
        for host in ["evil.example:7070", "192.168.1.5", "192.168.1.5:80"] {
            assert_eq!(code(&all, &[("host", host)]), Some(Code::ForbiddenHost), "{host}");
        }
    }

    #[test]
    fn only_the_token_opens() {
        let guard = guard("127.0.0.1:7070", &[]);
        let ask = |value: &str| guard.authorize(&headers(&[("authorization", value)])).is_ok();
        assert!(ask("Bearer secret") && ask("bearer secret"));
        assert!(!ask("Bearer secre") && !ask("Bearer secrets") && !ask("Basic secret"));
        assert!(!ask("Bearer ") && !ask("secret") && !ask(""));
        assert!(guard.authorize(&HeaderMap::new()).is_err());
        let open = Guard::new(&Settings::default());
        assert!(open.authorize(&HeaderMap::new()).is_ok());
    }
}
