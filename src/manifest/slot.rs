//! The slots of a connection: the values that the parameters of every integration fill.
//!
//! Each manifest decides which of its parameters fills which slot.

macro_rules! slots {
    ($($slot:ident $name:literal $(($secret:ident))? $summary:literal;)*) => {
        /// A slot of a connection.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Slot {
            $(#[doc = $summary] $slot,)*
        }

        impl Slot {
            /// All slots.
            pub const ALL: &'static [Slot] = &[$(Slot::$slot),*];

            /// The name in a manifest.
            pub fn name(self) -> &'static str {
                match self { $(Slot::$slot => $name,)* }
            }

            /// The description for authors of manifests.
            pub fn summary(self) -> &'static str {
                match self { $(Slot::$slot => $summary,)* }
            }

            /// True if a parameter that fills this slot must be declared secret.
            pub fn is_secret(self) -> bool {
                match self { $(Slot::$slot => slots!(@secret $($secret)?),)* }
            }
        }
    };
    (@secret) => { false };
    (@secret secret) => { true };
}

slots! {
    TenantId "tenant_id" "The directory to sign in to: its GUID or one of its domain names.";
    ClientId "client_id" "The registered application's (client) ID, a GUID.";
    ClientSecret "client_secret" (secret) "A client secret of the application.";
    Certificate "certificate" (secret) "A certificate with its private key: PEM text, or PFX in Base64.";
    CertificatePassword "certificate_password" (secret) "The password of the certificate's file or key.";
    CertificateThumbprint "certificate_thumbprint" "The certificate's thumbprint; required with `private_key`.";
    PrivateKey "private_key" (secret) "The certificate's private key, PEM text.";
    AssertionAlgorithm "assertion_algorithm" "The algorithm that signs assertions: RS256 or PS256.";
    UserName "user_name" "The user principal name of the person who signs in with a device code.";
    Password "password" (secret) "The password of that person. A value is an error: the services refuse basic authentication.";
    RedirectUri "redirect_uri" "The redirect URI of the application, as registered.";
    AuthorizationCode "authorization_code" (secret) "The authorization code that a person got by signing in.";
    ManagedIdentity "managed_identity" "true: sign in with the identity of the machine.";
    ManagedIdentityClientId "managed_identity_client_id" "The client ID of a user-assigned identity of the machine.";
    Cloud "cloud" "The Microsoft cloud: `commercial`, `gcc`, `gcc_high` or `dod`.";
    BaseUrl "base_url" "The address of the Management API of one of these clouds.";
    ExchangeUrl "exchange_url" "The address of Exchange Online of one of these clouds.";
    Publisher "publisher" "The tenant ID of the company that runs this client, sent to the Management API.";
    TrustAnyCertificate "trust_any_certificate" "true: accept any TLS certificate.";
    UseProxy "use_proxy" "true: use the proxy of the environment.";
    CallTimeout "call_timeout" "The time-out of one call in seconds; 0: the default.";
    Platform "platform" "A setting of the platform, accepted and ignored.";
}

impl Slot {
    /// The slot with this name.
    pub fn named(name: &str) -> Option<Self> {
        Slot::ALL.iter().copied().find(|slot| slot.name() == name)
    }
}
