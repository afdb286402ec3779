//! The query options of the list of alerts, and the link to the next page. The link has all options
//! and a `$skiptoken` that is valid for them only.

use url::form_urlencoded;

use crate::sim::base64;
use crate::sim::data::alerts::properties;
use crate::sim::graph::filter::Filter;
use crate::sim::graph::{Refused, refused};
use crate::sim::ids::hex;
use crate::sim::world::alerts::Paging;

/// The maximum page size; a larger `$top` is reduced to it.
const MAX_PAGE_SIZE: usize = 1000;

/// The page size without `$top`.
const DEFAULT_PAGE_SIZE: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct QueryOptions {
    /// `$filter`.
    pub(crate) filter: Option<Filter>,
    /// `$orderby`: property, and whether the order is descending.
    pub(crate) order_by: Vec<(String, bool)>,
    /// `$select`.
    pub(crate) select: Option<Vec<String>>,
    /// `$count`.
    pub(crate) count: bool,
    /// The number of alerts before the page: `$skip` and earlier pages.
    pub(crate) start: usize,
    /// Whether the request follows a link to a next page.
    pub(crate) followed: bool,
    top: Option<usize>,
    skip: usize,
    parameters: Vec<(String, String)>,
}

impl QueryOptions {
    pub(crate) fn read(query: &[(String, String)]) -> Result<Self, Refused> {
        let mut options = Self::default();
        let mut token = None;
        for (at, (name, value)) in query.iter().enumerate() {
            let name = name.as_str();
            if query[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(refused("option_repeated", &[name]));
            }
            if name == "$skiptoken" {
                token = Some(value);
                continue;
            }
            options.add(name, value)?;
            options.parameters.push((name.to_owned(), value.clone()));
        }
        options.start = options.skip;
        options.followed = token.is_some() || options.skip > 0;
        if let Some(token) = token {
            options.start += options
                .offset(token)
                .ok_or_else(|| refused("link_400", &[]))?;
        }
        Ok(options)
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), Refused> {
        match name {
            "$filter" => {
                self.filter = Some(Filter::parse(value)?);
            }
            "$top" => self.top = Some(number(name, value)?),
            "$skip" => self.skip = number(name, value)?,
            "$count" => {
                let wrong = |_| refused("option_boolean", &[value]);
                self.count = value.parse().map_err(wrong)?;
            }
            "$orderby" => {
                self.order_by = value.split(',').map(order_by).collect::<Result<_, _>>()?;
            }
            "$select" => {
                self.select = Some(
                    value
                        .split(',')
                        .map(selected_property)
                        .collect::<Result<_, _>>()?,
                );
            }
            name if name.starts_with('$') => {
                return Err(refused("option_unknown", &[name]));
            }
            // Custom query options are ignored, as OData requires.
            _ => {}
        }
        Ok(())
    }

    /// The page size; `cap` is the maximum of the world.
    pub(crate) fn page_size(&self, cap: Option<usize>) -> usize {
        let most = cap.unwrap_or(MAX_PAGE_SIZE).min(MAX_PAGE_SIZE);
        self.top
            .unwrap_or(cap.unwrap_or(DEFAULT_PAGE_SIZE))
            .min(most)
    }

    /// The query of the next page.
    pub(crate) fn next(&self, end: usize, paging: Paging) -> String {
        let last = match paging {
            Paging::Skip => format!("$skip={end}"),
            Paging::Skiptoken => {
                let offset = end - self.skip;
                let token =
                    base64::encode(format!("{offset}:{}", self.checksum(offset)).as_bytes());
                format!("$skiptoken={token}")
            }
        };
        let repeated = |name: &str| paging == Paging::Skiptoken || name != "$skip";
        let options = self.parameters.iter().filter(|(name, _)| repeated(name));
        let options = options.map(|(name, value)| {
            let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
            format!("{name}={value}")
        });
        let all: Vec<String> = options.chain([last]).collect();
        all.join("&")
    }

    /// The offset of a `$skiptoken`, if it is valid for this query.
    fn offset(&self, token: &str) -> Option<usize> {
        let text = String::from_utf8(base64::decode(token)?).ok()?;
        let (offset, checksum) = text.split_once(':')?;
        let offset = offset.parse().ok()?;
        (checksum == self.checksum(offset)).then_some(offset)
    }

    fn checksum(&self, offset: usize) -> String {
        let text = format!("{offset} {:?}", self.parameters);
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        hex(&digest.as_ref()[..6])
    }
}

fn number(name: &str, value: &str) -> Result<usize, Refused> {
    let wrong = |_| refused("option_number", &[value, name]);
    value.parse().map_err(wrong)
}

fn order_by(text: &str) -> Result<(String, bool), Refused> {
    let mut words = text.split_whitespace();
    let property = words.next().unwrap_or_default();
    let down = match (words.next(), words.next()) {
        (None | Some("asc"), None) => false,
        (Some("desc"), None) => true,
        _ => return Err(refused("orderby_syntax", &[text])),
    };
    if !["createdDateTime", "lastUpdateDateTime"].contains(&property) {
        return Err(refused("orderby_property", &[property]));
    }
    Ok((property.to_owned(), down))
}

fn selected_property(text: &str) -> Result<String, Refused> {
    let name = text.trim();
    if properties().iter().any(|known| known == name) {
        return Ok(name.to_owned());
    }
    Err(refused("select_property", &[name]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::server::call::pairs;

    fn read(query: &str) -> Result<QueryOptions, String> {
        QueryOptions::read(&pairs(query)).map_err(|refused| refused.text)
    }

    #[test]
    fn top_is_limited_by_service_and_world() {
        assert_eq!(read("").unwrap().page_size(None), 100);
        assert_eq!(read("$top=2000").unwrap().page_size(None), 1000);
        assert_eq!(read("$top=50").unwrap().page_size(Some(20)), 20);
        assert_eq!(read("").unwrap().page_size(Some(500)), 500);
    }

    #[test]
    fn link_is_valid_for_its_own_query_only() {
        let first = read("$filter=severity%20eq%20'high'&$top=10&$skip=5").unwrap();
        let link = first.next(15, Paging::Skiptoken);
        let second = read(&link).unwrap();
        assert_eq!((second.start, second.page_size(None)), (15, 10));
        assert!(second.filter.is_some());
        assert_eq!(read(&second.next(25, Paging::Skiptoken)).unwrap().start, 25);
        let parameters = second.next(25, Paging::Skip);
        assert!(parameters.ends_with("&$skip=25") && !parameters.contains("$skip=5"));
        assert!(
            read(&link.replace("$top=10", "$top=11"))
                .unwrap_err()
                .contains("$skiptoken")
        );
        assert!(
            read(&format!("{link}&$top=10"))
                .unwrap_err()
                .contains("more than once")
        );
    }

    #[test]
    fn invalid_options_are_rejected() {
        let cases = [
            ("$top=-1", "non-negative integer"),
            ("$top=ten", "non-negative integer"),
            ("$skip=1.5", "non-negative integer"),
            ("$count=yes", "'true' or 'false'"),
            ("$orderby=title", "cannot be used in the $orderby"),
            ("$orderby=createdDateTime up", "Syntax error"),
            ("$select=id,colour", "'colour'"),
            ("$search=x", "'$search' is not supported"),
            ("$filter=x", "Invalid filter clause"),
        ];
        for (query, wanted) in cases {
            let error = read(query).unwrap_err();
            assert!(error.contains(wanted), "{query}: {error}");
        }
        assert!(read("api-version=1").is_ok());
    }
}
