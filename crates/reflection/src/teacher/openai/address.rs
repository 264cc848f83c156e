//! The address of a server, free of anything that must not be seen.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use tamis_artifact::ParameterError;
use ureq::http::Uri;

use crate::ReflectionError;

const CHAT: &str = "/chat/completions";

/// A base URL: scheme, host, port and path, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    base: String,
    host: String,
    encrypted: bool,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

impl Address {
    /// Reads a base URL such as `https://host/v1`.
    pub(super) fn parse(text: &str) -> Result<Self, ReflectionError> {
        let refuse = |found: String, expected: &str| {
            Err(ParameterError::new("base_url", found, expected).into())
        };
        let text = text.trim();
        // Both may hold secrets: they are not repeated.
        if text.contains('@') {
            return refuse(
                "an address with a user name or a password in it".to_owned(),
                "none: put the key in an environment variable",
            );
        }
        if text.contains(['?', '#']) {
            return refuse(
                "an address with a query or a fragment".to_owned(),
                "only scheme, host and path: put the key in an environment variable",
            );
        }
        let shape = "http:// or https://, a host, and mostly /v1";
        let Ok(uri) = text.parse::<Uri>() else {
            return refuse(format!("`{text}`"), shape);
        };
        let (Some(scheme @ ("http" | "https")), Some(authority)) =
            (uri.scheme_str(), uri.authority())
        else {
            return refuse(format!("`{text}`"), shape);
        };
        let path = uri.path().trim_end_matches('/');
        if path.ends_with(CHAT) {
            return refuse(format!("`{text}`"), "the address before /chat/completions");
        }
        Ok(Self {
            base: format!("{scheme}://{authority}{path}"),
            host: authority.host().to_ascii_lowercase(),
            encrypted: scheme == "https",
        })
    }

    /// Where chats are sent.
    pub(super) fn chat(&self) -> String {
        format!("{}{CHAT}", self.base)
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Whether it is on this machine.
    pub(super) fn is_local(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost"
            || bare.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
            || bare.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        let chat = |text: &str| Address::parse(text).map(|address| address.chat()).ok();
        assert_eq!(
            chat("https://api.openai.com/v1/").as_deref(),
            Some("https://api.openai.com/v1/chat/completions")
        );
        assert_eq!(
            chat(" http://[::1]:8080 ").as_deref(),
            Some("http://[::1]:8080/chat/completions")
        );
        for bad in ["", "api.openai.com/v1", "ftp://host/v1", "https:///v1", "https://ho st/"] {
            assert_eq!(chat(bad), None, "{bad}");
        }
        assert_eq!(chat("http://host/v1/chat/completions"), None);
    }

    #[test]
    fn knows_this_machine() {
        let local =
            |host: &str| Address::parse(&format!("http://{host}:1/v1")).map(|a| a.is_local()).ok();
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.1", "[::1]"] {
            assert_eq!(local(host), Some(true), "{host}");
        }
        for host in ["128.0.0.1", "localhost.example.org", "[::2]", "10.0.0.1"] {
            assert_eq!(local(host), Some(false), "{host}");
        }
    }

    #[test]
    fn never_repeats_secrets() {
        for text in
            ["http://user:hunter2@host/v1", "http://host/v1?key=hunter2", "@hunter2", "#hunter2"]
        {
            let refusal = Address::parse(text).map_err(|error| error.to_string());
            assert!(refusal.is_err_and(|text| !text.contains("hunter2")));
        }
    }
}
