//! The routes of the services, by which faults and logs name requests. Only paths are looked at.

/// A simulated service, identified by the first path segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Login,
    Graph,
    Management,
    Exchange,
    /// The webhook receiver.
    Hook,
    /// Managed identities: the metadata service of a virtual machine, and the endpoint of an app
    /// service.
    Metadata,
}

impl Service {
    pub(crate) const ALL: [Self; 6] = [
        Self::Login,
        Self::Graph,
        Self::Management,
        Self::Exchange,
        Self::Hook,
        Self::Metadata,
    ];

    /// The name in paths, logs and endpoint files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Graph => "graph",
            Self::Management => "management",
            Self::Exchange => "exchange",
            Self::Hook => "hook",
            Self::Metadata => "metadata",
        }
    }

    /// Splits the service's segment from a path.
    fn split(path: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|service| {
            let rest = path.strip_prefix('/')?.strip_prefix(service.name())?;
            (rest.is_empty() || rest.starts_with('/')).then_some((service, rest))
        })
    }

    /// The service of a path, and the path below it. Sign-in is also served at the root, because
    /// many client libraries use an authority without a path.
    pub(crate) fn of(path: &str) -> Option<(Self, &str)> {
        let at_root =
            || (Route::of(Self::Login, path) != Route::Unknown).then_some((Self::Login, path));
        Self::split(path).or_else(at_root)
    }
}

/// Defines [`Route`] from a list of its variants, their names in world files, and their paths with
/// the service as the first segment.
///
/// In a path, `*` is any segment, `+` is a segment that is not empty, `a|b` is one of two texts, and
/// a segment that ends in `?` can be left out.
macro_rules! routes {
    ($($route:ident $name:literal $path:literal,)*) => {
        /// A kind of request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Route {
            $($route,)*
            /// Any other path.
            Unknown,
        }

        impl Route {
            const TABLE: &[(Self, &str, &str)] = &[$((Self::$route, $name, $path),)*];
        }
    };
}

routes! {
    LoginInstance "login.instance" "login/*/discovery/instance",
    LoginDiscovery "login.discovery" "login/*/v2.0?/.well-known/openid-configuration",
    LoginAuthorize "login.authorize" "login/*/oauth2/v2.0?/authorize",
    LoginDeviceCode "login.device_code" "login/*/oauth2/v2.0?/devicecode",
    LoginToken "login.token" "login/*/oauth2/v2.0?/token",
    GraphAlerts "graph.alerts" "graph/v1.0|beta/security/alerts_v2",
    GraphAlert "graph.alert" "graph/v1.0|beta/security/alerts_v2/+",
    GraphAuditQueries "graph.audit_queries" "graph/v1.0|beta/security/auditlog/queries",
    GraphAuditQuery "graph.audit_query" "graph/v1.0|beta/security/auditlog/queries/+",
    GraphAuditRecords "graph.audit_records" "graph/v1.0|beta/security/auditlog/queries/+/records",
    FeedStart "management.subscriptions.start"
        "management/api/v1.0|v1/*/activity/feed/subscriptions/start",
    FeedStop "management.subscriptions.stop"
        "management/api/v1.0|v1/*/activity/feed/subscriptions/stop",
    FeedList "management.subscriptions.list"
        "management/api/v1.0|v1/*/activity/feed/subscriptions/list",
    FeedContent "management.content"
        "management/api/v1.0|v1/*/activity/feed/subscriptions/content",
    FeedBlob "management.blob" "management/api/v1.0|v1/*/activity/feed/audit/+",
    ExchangeCommand "exchange.command" "exchange/adminapi/beta|v1.0/*/invokecommand",
    HookReceive "hook.receive" "hook/+",
    IdentityVm "identity.vm" "metadata/metadata/identity/oauth2/token",
    IdentityAppService "identity.app_service" "metadata/msi/token",
}

impl Route {
    /// The names that faults can use.
    pub(crate) fn names() -> Vec<&'static str> {
        Self::TABLE.iter().map(|(_, name, _)| *name).collect()
    }

    /// The name in world files.
    pub(crate) fn name(self) -> &'static str {
        let found = Self::TABLE.iter().find(|(route, ..)| *route == self);
        found.map_or("unknown", |(_, name, _)| *name)
    }

    /// The route of a path below its service.
    pub(crate) fn of(service: Service, path: &str) -> Self {
        let path = format!("{}{}", service.name(), path.to_ascii_lowercase());
        let found = Self::TABLE.iter().find(|(.., known)| matches(known, &path));
        found.map_or(Self::Unknown, |(route, ..)| *route)
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/').peekable();
    let all = pattern.split('/').all(|step| {
        if let Some(optional) = step.strip_suffix('?') {
            segments.next_if_eq(&optional);
            return true;
        }
        segments.next().is_some_and(|segment| match step {
            "*" => true,
            "+" => !segment.is_empty(),
            _ => step.split('|').any(|text| text == segment),
        })
    });
    all && segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_its_route() {
        let cases = [
            ("/login/t/oauth2/v2.0/token", Route::LoginToken),
            ("/login/t/oauth2/token", Route::LoginToken),
            (
                "/login/organizations/oauth2/v2.0/devicecode",
                Route::LoginDeviceCode,
            ),
            (
                "/login/t/v2.0/.well-known/openid-configuration",
                Route::LoginDiscovery,
            ),
            ("/graph/v1.0/security/alerts_v2", Route::GraphAlerts),
            ("/graph/beta/Security/Alerts_V2", Route::GraphAlerts),
            ("/graph/v1.0/security/alerts_v2/da1_1", Route::GraphAlert),
            ("/graph/v1.0/security/incidents", Route::Unknown),
            (
                "/management/api/v1.0/t/activity/feed/subscriptions/start",
                Route::FeedStart,
            ),
            (
                "/management/api/v1.0/t/activity/feed/subscriptions/pause",
                Route::Unknown,
            ),
            (
                "/management/api/v1/t/activity/feed/subscriptions/content",
                Route::FeedContent,
            ),
            (
                "/management/api/v1.0/t/activity/feed/audit/1$2$audit_exchange",
                Route::FeedBlob,
            ),
            (
                "/graph/beta/security/auditLog/queries/1/records",
                Route::GraphAuditRecords,
            ),
            ("/hook/feed", Route::HookReceive),
            (
                "/exchange/adminapi/beta/t/InvokeCommand",
                Route::ExchangeCommand,
            ),
            ("/login/common/discovery/instance", Route::LoginInstance),
            ("/login/t/oauth2/v2.0/authorize", Route::LoginAuthorize),
            (
                "/metadata/metadata/identity/oauth2/token",
                Route::IdentityVm,
            ),
            ("/metadata/identity/oauth2/token", Route::Unknown),
            ("/metadata/msi/token", Route::IdentityAppService),
            ("/hook/feed/more", Route::Unknown),
        ];
        for (path, wanted) in cases {
            let (service, rest) = Service::of(path).unwrap();
            assert_eq!(Route::of(service, rest), wanted, "{path}");
        }
        for path in ["/logins/x", "/", "/t/oauth2/v2.0/logout"] {
            assert_eq!(Service::of(path), None, "{path}");
        }
        let root = "/t/oauth2/v2.0/token";
        assert_eq!(Service::of(root), Some((Service::Login, root)));
    }
}
