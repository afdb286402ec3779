//! The routes of the services, by which faults and logs name requests. Only paths are looked at.

/// A simulated service, identified by the first path segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// Sign-in.
    Login,
    /// Microsoft Graph.
    Graph,
    /// The Management Activity API.
    Management,
    /// The webhook receiver.
    Hook,
    /// Managed identities: the metadata service of a virtual machine, and the endpoint of an app
    /// service.
    Metadata,
}

impl Service {
    /// All services.
    pub(crate) const ALL: [Self; 5] = [
        Self::Login,
        Self::Graph,
        Self::Management,
        Self::Hook,
        Self::Metadata,
    ];

    /// The name in paths, logs and endpoint files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Graph => "graph",
            Self::Management => "management",
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

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Route {
    /// Instance discovery: client libraries request the known login hosts.
    LoginInstance,
    /// The `OpenID` metadata of a tenant.
    LoginDiscovery,
    /// The authorization endpoint, v1 and v2, where a user signs in.
    LoginAuthorize,
    /// The device code endpoint, v1 and v2.
    LoginDeviceCode,
    /// The token endpoint, v1 and v2.
    LoginToken,
    /// A page of the list of alerts.
    GraphAlerts,
    /// A single alert.
    GraphAlert,
    /// Start of a subscription.
    FeedStart,
    /// Stop of a subscription.
    FeedStop,
    /// List of subscriptions.
    FeedList,
    /// A page of a content listing.
    FeedContent,
    /// A blob.
    FeedBlob,
    /// A request to the webhook receiver.
    HookReceive,
    /// A token request to the metadata service of a virtual machine.
    IdentityVm,
    /// A token request to the identity endpoint of an app service.
    IdentityAppService,
    /// Any other path.
    Unknown,
}

impl Route {
    /// The routes that faults can name.
    pub(crate) const ALL: [Self; 15] = [
        Self::LoginInstance,
        Self::LoginDiscovery,
        Self::LoginAuthorize,
        Self::LoginDeviceCode,
        Self::LoginToken,
        Self::GraphAlerts,
        Self::GraphAlert,
        Self::FeedStart,
        Self::FeedStop,
        Self::FeedList,
        Self::FeedContent,
        Self::FeedBlob,
        Self::HookReceive,
        Self::IdentityVm,
        Self::IdentityAppService,
    ];

    /// The name in world files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LoginInstance => "login.instance",
            Self::LoginDiscovery => "login.discovery",
            Self::LoginAuthorize => "login.authorize",
            Self::LoginDeviceCode => "login.device_code",
            Self::LoginToken => "login.token",
            Self::GraphAlerts => "graph.alerts",
            Self::GraphAlert => "graph.alert",
            Self::FeedStart => "management.subscriptions.start",
            Self::FeedStop => "management.subscriptions.stop",
            Self::FeedList => "management.subscriptions.list",
            Self::FeedContent => "management.content",
            Self::FeedBlob => "management.blob",
            Self::HookReceive => "hook.receive",
            Self::IdentityVm => "identity.vm",
            Self::IdentityAppService => "identity.app_service",
            Self::Unknown => "unknown",
        }
    }

    /// The route of a path below its service.
    pub(crate) fn of(service: Service, path: &str) -> Self {
        let lower = path.to_ascii_lowercase();
        let segments: Vec<&str> = lower.split('/').skip(1).collect();
        match (service, segments.as_slice()) {
            (Service::Login, [_, "discovery", "instance"]) => Self::LoginInstance,
            (
                Service::Login,
                [_, "v2.0", ".well-known", "openid-configuration"]
                | [_, ".well-known", "openid-configuration"],
            ) => Self::LoginDiscovery,
            (Service::Login, [_, "oauth2", "v2.0", "authorize"] | [_, "oauth2", "authorize"]) => {
                Self::LoginAuthorize
            }
            (Service::Login, [_, "oauth2", "v2.0", "devicecode"] | [_, "oauth2", "devicecode"]) => {
                Self::LoginDeviceCode
            }
            (Service::Login, [_, "oauth2", "v2.0", "token"] | [_, "oauth2", "token"]) => {
                Self::LoginToken
            }
            (Service::Graph, ["v1.0" | "beta", "security", "alerts_v2"]) => Self::GraphAlerts,
            (Service::Graph, ["v1.0" | "beta", "security", "alerts_v2", id]) if !id.is_empty() => {
                Self::GraphAlert
            }
            (Service::Management, ["api", "v1.0" | "v1", _, "activity", "feed", rest @ ..]) => {
                Self::feed(rest)
            }
            (Service::Metadata, ["metadata", "identity", "oauth2", "token"]) => Self::IdentityVm,
            (Service::Metadata, ["msi", "token"]) => Self::IdentityAppService,
            (Service::Hook, [name]) if !name.is_empty() => Self::HookReceive,
            _ => Self::Unknown,
        }
    }

    fn feed(rest: &[&str]) -> Self {
        match rest {
            ["subscriptions", "start"] => Self::FeedStart,
            ["subscriptions", "stop"] => Self::FeedStop,
            ["subscriptions", "list"] => Self::FeedList,
            ["subscriptions", "content"] => Self::FeedContent,
            ["audit", id] if !id.is_empty() => Self::FeedBlob,
            _ => Self::Unknown,
        }
    }
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
            ("/hook/feed", Route::HookReceive),
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
