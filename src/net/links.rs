//! Follow-up links found in answers: same scheme, host and port; no loops; a limit.
//!
//! A link that leads elsewhere is refused before anything is sent, so no token reaches a host that
//! only an answer named.

use std::collections::HashSet;

use url::Url;

use crate::protocol::{Detail, ErrorKind, Failure};

/// More pages than any listing has: beyond them the links are taken to run in circles.
pub const PAGE_LIMIT: usize = 10_000;

/// The links of one listing.
#[derive(Debug)]
pub struct Links {
    home: Url,
    seen: HashSet<String>,
    limit: usize,
}

impl Links {
    /// Links are followed only to where `home` lives.
    pub fn new(home: &Url) -> Self {
        Links {
            home: home.clone(),
            seen: HashSet::new(),
            limit: PAGE_LIMIT,
        }
    }

    /// Notes an address that is asked without having been followed, so that no link leads back.
    pub fn visited(&mut self, url: &Url) {
        // From here on relative links are meant from this page.
        self.home.clone_from(url);
        self.seen.insert(url.to_string());
    }

    /// The address of a link that is not a page of the listing, or a `bad_response` that names
    /// where it leads.
    pub fn check(&self, link: &str) -> Result<Url, Failure> {
        let mut url = match self.home.join(link) {
            Ok(url) if !link.trim().is_empty() => url,
            Ok(_) => return Err(refused("A follow-up link is empty.")),
            Err(error) => {
                return Err(refused(&format!(
                    "A follow-up link is not an address: {error}."
                )));
            }
        };
        // A fragment is not sent, so it does not make another page.
        url.set_fragment(None);
        if !same_origin(&self.home, &url) {
            return Err(refused(&format!(
                "A follow-up link leads to {} instead of {}; it was not followed.",
                origin(&url),
                origin(&self.home)
            )));
        }
        if !bare(&url) {
            return Err(refused(
                "A follow-up link carries a user name or password; it was not followed.",
            ));
        }
        Ok(url)
    }

    /// The address of the link to the next page, or a `bad_response` that names where it leads.
    pub fn follow(&mut self, link: &str) -> Result<Url, Failure> {
        let url = self.check(link)?;
        if self.seen.len() >= self.limit {
            return Err(refused(&format!(
                "More than {} pages; the listing was given up.",
                self.limit
            )));
        }
        if !self.seen.insert(url.to_string()) {
            return Err(refused(
                "A follow-up link leads to a page that was already read.",
            ));
        }
        self.home.clone_from(&url);
        Ok(url)
    }
}

/// Same scheme, host and port?
pub fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host() == b.host()
        && a.port_or_known_default() == b.port_or_known_default()
}

/// Without user name and password? They would be sent as credentials beside the token.
pub fn bare(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none()
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn refused(message: &str) -> Failure {
    Failure::new(ErrorKind::BadResponse, message)
        .with_detail(Detail::Permanent)
        .cause("A link in a response is followed once, and only to the same scheme, host and port.")
        .advice("Request a narrower time range. If the failure persists, report it to the service's support.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Links {
        Links::new(&Url::parse("https://graph.test/v1.0/a?$top=1").expect("an address"))
    }

    #[test]
    fn links_stay_at_home() {
        let mut links = links();
        for fine in [
            "https://graph.test/v1.0/a?$skip=1",
            "https://graph.test:443/beta",
        ] {
            assert!(links.follow(fine).is_ok(), "{fine}");
        }
        for (link, leads_to) in [
            ("https://evil.test/v1.0/a", "https://evil.test"),
            ("http://graph.test/v1.0/a", "http://graph.test"),
            ("https://graph.test:8443/a", "https://graph.test:8443"),
            ("https://graph.test@evil.test/a", "https://evil.test"),
            ("//evil.test/a", "https://evil.test"),
        ] {
            let failure = links.follow(link).expect_err(link);
            assert_eq!(failure.kind(), ErrorKind::BadResponse);
            let words = format!("leads to {leads_to} instead of https://graph.test;");
            assert!(failure.message().contains(&words), "{failure}");
        }
    }

    #[test]
    fn no_page_is_read_twice() {
        let mut links = links();
        links.visited(&Url::parse("https://graph.test/1").expect("an address"));
        assert!(links.follow("https://graph.test/2").is_ok());
        for again in ["https://graph.test/1", "https://graph.test/2"] {
            let failure = links.follow(again).expect_err("a loop");
            assert!(failure.message().contains("already read"));
        }
    }

    #[test]
    fn there_is_an_end() {
        let mut links = Links {
            limit: 2,
            ..links()
        };
        assert!(links.follow("https://graph.test/1").is_ok());
        assert!(links.follow("https://graph.test/2").is_ok());
        let failure = links.follow("https://graph.test/3").expect_err("too many");
        assert!(failure.message().contains("More than 2 pages"));
    }
}
