//! What generated properties say: one template, or several alternatives, per property name.
//!
//! Only placeholders for data: contoso.onmicrosoft.com, example.test, the addresses of RFC 5737,
//! no person. It deliberately knows no shapes (those are in `evidence_types.rs`) and no alerts.

/// `property = alternative | alternative`, or `type.property = …` where a type needs its own.
///
/// Fillers: `{guid}`, `{n}` (a small number), `{hex8}` … `{hex64}`, `{ip}` (RFC 5737), `{user}`,
/// `{upn}` and `{name}` (the account that the alert is about), `{host}`.
pub(crate) const TEXTS: &str = r#"
activeDirectoryDomainName = corp.contoso.test
agentId = {guid}
agentName = Beschaffungs-Agent Ä{n} | 請求書エージェント
instructions = Answer politely.\nNever say "yes" to C:\temp.
amazonAccountId = 1234567890{n}
amazonResourceId = arn:aws:s3:::contoso-{n}
resourceName = contoso-store-{n} | größe-{n}
resourceType = Microsoft.Storage/storageAccounts | s3-bucket | storage.googleapis.com/Bucket
antiSpamDirection = inbound | outbound | intraorg
deliveryAction = delivered | deliveredAsSpam | blocked
deliveryLocation = inbox | junkFolder | quarantine
internetMessageId = <m{n}.{hex8}@mail.example.test>
language = en | de | ja
networkMessageId = {guid}
recipientEmailAddress = {upn}
senderIp = {ip}
subject = Invoice {n} | Rechnung für März – Ä{n} | 請求書 {n} 🧾 | RE: "final" \\share\{n}
threatDetectionMethods = FileDetonation | UrlReputation
threats = Malware | Phish
urls = https://files.example.test/d/{hex8}?q=1&r=2
urn = urn:MailEntity:{hex32}
mailClusterEvidence.urn = urn:MailClusterEntity:{hex32}
resourceId = /subscriptions/{guid}/resourceGroups/lab/providers/Microsoft.Storage/storageAccounts/s{n}
name = contoso-{n} | prüfung-{n} | 倉庫-{n}
malwareEvidence.name = Trojan:Win32/Example.{n}!MTB
gitHubUserEvidence.name = Contoso Bot {n}
stream.name = stream-{n}
url = https://www.example.test/{hex8}/l%C3%B6gin?next=%2F
blobEvidence.url = https://contoso.blob.example.test/c{n}/Bericht%20%C3%84.docx
blobContainerEvidence.url = https://contoso.blob.example.test/c{n}
etag = "0x8D{hex8}"
displayName = {name}
cloudApplicationEvidence.displayName = Microsoft SharePoint Online | Contoso CRM
oauthApplicationEvidence.displayName = Mail Sync {n}
securityGroupEvidence.displayName = SG-Finanzen-Ä | SG-経理
gitHubOrganizationEvidence.displayName = Contoso Lab
instanceName = Contoso
requestId = {guid}
browser = Edge 143.0 | Firefox 146.0
deviceName = {host}
operatingSystem = Windows 11 | Linux
protocol = OAuth2:Token | https
sessionId = {guid}
userAgent = Mozilla/5.0 (Windows NT 10.0; Win64; x64)
args = --log="C:\logs\{n}" | --quiet
command = /bin/sh | -c
containerId = {hex64}
imageId = registry.example.test/app@sha256:{hex64}
registry = registry.example.test
azureAdDeviceId = {guid}
deviceDnsName = {host}.corp.contoso.test
dnsDomain = corp.contoso.test
hostName = {host}
ipInterfaces = {ip} | 2001:db8::{n} | 127.0.0.1
lastExternalIpAddress = {ip}
lastIpAddress = {ip}
mdeDeviceId = {hex40}
ntDomain = CONTOSO
osPlatform = Windows11 | Linux
rbacGroupName = Büro München | 東京
version = 24H2
kubernetesClusterEvidence.version = 1.34.{n}
domainName = contoso
emailSender.domainName = mail.example.test
dnsEvidence.domainName = c2-{n}.example.test
value = {hex64}
fileHash.algorithm = sha256
fileHashEvidence.algorithm = sha256
company = Contoso
email = dev{n}@example.test
login = contoso-lab
orgId = 90{n}
webUrl = https://github.example.test/contoso-lab
baseUrl = https://github.example.test/contoso-lab/repo{n}
owner = contoso-lab
ownerType = Organization
repoId = 70{n}
userId = 80{n}
fullResourceName = //storage.example.test/projects/_/buckets/contoso-{n}
location = europe-west3
projectId = contoso-lab-{n}
deviceId = iot-{hex8}
devicePageLink = https://iot.example.test/devices/{hex8}
deviceSubType = PLC
deviceType = Industrial
ioTSecurityAgentId = {guid}
macAddress = 00-00-5E-00-53-{n}
manufacturer = Müller Anlagenbau
model = M-{n}
owners = plant@example.test
protocols = MODBUS | S7
purdueLayer = Process Control
sensor = sensor-{n}
serialNumber = SN{hex8}
site = Werk Köln
source = Contoso Sensors
zone = Zone {n}
countryLetterCode = DE | JP | US
ipAddress = {ip}
distribution = microk8s
labels = contoso | prüfung
type = Deployment | DaemonSet
secretType = Opaque
selector = frontend | backend
configurationId = {hex16}
mailboxPrimaryAddress = {upn}
upn = {upn}
primaryAddress = {upn}
clusterBy = Subject;SenderIp | BodyFingerprintBin1
clusterByValue = Invoice {n};{ip}
networkMessageIds = {guid}
query = (Subject:"Invoice {n}" AND SenderIp:{ip})
category = Trojan
vlans = vlan{n}
appId = {guid}
objectId = {guid}
publisher = Contoso Ltd.
processCommandLine = "C:\Windows\System32\cmd.exe" /c "echo 'Ä' > %TEMP%\{hex8}.txt"
registryHive = HKEY_LOCAL_MACHINE
registryKey = SOFTWARE\Contoso\Run\{n}
registryValue = "C:\Program Files\Contoso\agent.exe" -s
registryValueName = ContosoAgent
registryValueType = ExpandString
allowedIpAddresses = 192.0.2.0-192.0.2.255
allowedResourceTypes = service | container | object
allowedServices = blob | file
permissions = read | list
signatureHash = {hex64}
signedWith = key1 | key2
distinguishedName = CN=SG Finanzen\, Köln,OU=Gruppen,DC=corp,DC=contoso,DC=test
friendlyName = SG Finanzen
securityGroupId = {guid}
sid = S-1-5-21-1-2-3-11{n}
appOwnerTenantId = {guid}
servicePrincipalName = https://app{n}.example.test
servicePrincipalObjectId = {guid}
tenantId = {tenant}
recipient = {upn}
reportType = Phish | Junk
sender = billing{n}@mail.example.test
submissionId = {guid}
submitter = {upn}
campaignId = {guid}
channelId = 19:{hex32}@thread.tacv2
groupId = {guid}
messageId = 17684{hex8}
parentMessageId = 17684{hex8}
recipients = {upn} | finance.desk@contoso.onmicrosoft.com
senderFromAddress = guest{n}@mail.example.test
senderIP = {ip}
sourceAppName = Contoso Bot
sourceId = {guid}
suspiciousRecipients = {upn}
threadId = 19:{hex32}@thread.v2
threadType = chat | channel
accountName = {user}
userSid = S-1-5-21-1-2-3-10{n}
azureAdUserId = {guid}
userPrincipalName = {upn}
fileName = invoice-{n}.docm | Gehälter Übersicht {n}.xlsx | 見積書_{n}.pdf | it's "final" 📎.txt
filePath = C:\Users\{user}\Downloads | \\files.corp.contoso.test\Ablage\Prüfung
filePublisher = Contoso Ltd.
issuer = Contoso Code Signing CA
signer = Contoso Ltd.
md5 = {hex32}
sha1 = {hex40}
sha256 = {hex64}
sha256Ac = {hex64}
emailAddress = billing{n}@mail.example.test
subscriptionId = {guid}
vmId = {guid}
city = Köln | 東京 | Springfield
countryName = Germany | Japan | United States
state = Nordrhein-Westfalen | Illinois
accountId = {guid}
resourceIdentifier = cifs/files.corp.contoso.test
appProtocol = http
targetPort = 80{n}
"#;

/// Title, category, technique and description of an alert, in turn.
pub(crate) const STORIES: [[&str; 4]; 8] = [
    [
        "Mail with malicious file removed after delivery",
        "InitialAccess",
        "T1566.001",
        "A message with a malicious attachment was delivered and then removed.",
    ],
    [
        "Ungewöhnliche Anmeldung für Ägidienhof-Konto",
        "CredentialAccess",
        "T1110",
        "Invented text with an umlaut: Überprüfen Sie die Anmeldung.",
    ],
    [
        "不審なサインイン – 日本 🗾",
        "InitialAccess",
        "T1078.004",
        "Invented text in two scripts: サインイン from an unfamiliar place.",
    ],
    [
        "Process \"cmd.exe\" wrote C:\\temp\\{hex8}.txt",
        "Execution",
        "T1059.003",
        "Quotes \" and backslashes \\ on purpose.\r\nSecond line.\tTab.",
    ],
    [
        "Suspicious forwarding rule <b>created</b> & enabled",
        "Exfiltration",
        "T1114.003",
        "Markup must not be interpreted: <script>1</script> &amp; | pipes | too.",
    ],
    [
        "Container with a sensitive volume mount detected",
        "PrivilegeEscalation",
        "T1611",
        "Invented text about a container.",
    ],
    [
        "Sign-in by 👩‍💻 e\u{301}t al. (combining mark)",
        "Persistence",
        "T1098",
        "Joined emoji and a combining accent.",
    ],
    [
        "Traffic to c2-{n}.example.test",
        "CommandAndControl",
        "T1071.001",
        "Invented text about traffic.",
    ],
];

/// Title, category, technique and description of an alert of data loss prevention.
pub(crate) const LEAKS: [[&str; 4]; 3] = [
    [
        "DLP policy (Credit cards) matched for email with subject (Rechnung Ä{n})",
        "Exfiltration",
        "T1048",
        "A message with two invented card numbers left the organisation.",
    ],
    [
        "DLP policy (個人情報) matched for document (見積書_{n}.pdf) in OneDrive",
        "Exfiltration",
        "T1567.002",
        "A document was shared outside the organisation.",
    ],
    [
        "DLP policy (Geheimhaltung) matched on a device",
        "Exfiltration",
        "T1052",
        "A file was copied to removable media.",
    ],
];

/// `serviceSource`, `detectionSource` and product name of alerts that are not about data loss.
pub(crate) const SOURCES: [[&str; 3]; 9] = [
    [
        "microsoftDefenderForOffice365",
        "microsoftDefenderForOffice365",
        "Microsoft Defender for Office 365",
    ],
    [
        "microsoftDefenderForEndpoint",
        "antivirus",
        "Microsoft Defender for Endpoint",
    ],
    [
        "microsoftDefenderForIdentity",
        "microsoftDefenderForIdentity",
        "Microsoft Defender for Identity",
    ],
    [
        "microsoftDefenderForCloudApps",
        "cloudAppSecurity",
        "Microsoft Defender for Cloud Apps",
    ],
    [
        "azureAdIdentityProtection",
        "azureAdIdentityProtection",
        "Microsoft Entra ID Protection",
    ],
    [
        "microsoft365Defender",
        "customDetection",
        "Microsoft Defender XDR",
    ],
    [
        "microsoftDefenderForCloud",
        "microsoftDefenderForContainers",
        "Microsoft Defender for Cloud",
    ],
    ["microsoftSentinel", "scheduledAlerts", "Microsoft Sentinel"],
    [
        "microsoftInsiderRiskManagement",
        "microsoftInsiderRiskManagement",
        "Microsoft Purview Insider Risk Management",
    ],
];

/// Account name and display name of the accounts that alerts are about.
pub(crate) const ACCOUNTS: [[&str; 2]; 6] = [
    ["ada", "Ada"],
    ["finance.desk", "Finance Desk"],
    ["buero.koeln", "Büro Köln"],
    ["somu", "総務部"],
    ["helpdesk", "Helpdesk \"Tier 2\" 🛟"],
    ["svc-backup", "CONTOSO\\svc-backup"],
];
