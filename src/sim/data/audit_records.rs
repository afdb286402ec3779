//! Templates of audit records, by content type: members, order and oddities as the service sends
//! them.
//!
//! Only placeholders for data: example domains, the addresses of RFC 5737, no person. How a
//! template is filled is the business of `audit_template.rs`; one template is one line.

/// The templates of a content type, each as often as its kind is frequent.
pub(crate) fn templates(content_type: &str) -> &'static [&'static str] {
    match content_type {
        "Audit.AzureActiveDirectory" => &DIRECTORY,
        "Audit.Exchange" => &EXCHANGE,
        "Audit.SharePoint" => &SHAREPOINT,
        "DLP.All" => &DLP,
        _ => &GENERAL,
    }
}

/// Sign-ins (15, some failed, one old kind) and changes of the directory (8).
const DIRECTORY: [&str; 7] = [
    SIGN_IN,
    SIGN_IN,
    SIGN_IN,
    SIGN_IN_FAILED,
    SIGN_IN_FAILED,
    DIRECTORY_CHANGE,
    OLD_LOGON,
];

/// Cmdlets (1), items of mailboxes (2), groups of items (3), aggregated access (50).
const EXCHANGE: [&str; 7] = [
    CMDLET,
    CMDLET,
    MAIL_ITEM,
    MAIL_ITEM,
    MAIL_GROUP,
    MAIL_ACCESS,
    MAIL_ACCESS,
];

/// Operations on files (6), sharing (14), lists (36).
const SHAREPOINT: [&str; 6] = [FILE, FILE, FILE, FILE_MOVED, SHARING, LIST];

/// Matches of rules in mail (13), in files (11), on devices (63).
const DLP: [&str; 4] = [DLP_MAIL, DLP_MAIL, DLP_FILE, DLP_DEVICE];

/// Alerts (40), Teams (25), Power BI (20), and a kind that nobody knows.
const GENERAL: [&str; 6] = [ALERT, ALERT, TEAMS, TEAMS, POWER_BI, UNKNOWN];

const SIGN_IN: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"UserLoggedIn","OrganizationId":"%tenant%","RecordType":%15|15|15|"15"%,"ResultStatus":"%Success|Succeeded|success%","UserKey":"%guid%","UserType":0,"Version":1,"Workload":"AzureActiveDirectory","ClientIP":"%ip%","ObjectId":"00000003-0000-0000-c000-000000000000","UserId":"%account%@%domain%","AzureActiveDirectoryEventType":1,"ExtendedProperties":[{"Name":"ResultStatusDetail","Value":"%Success|Redirect%"},{"Name":"UserAgent","Value":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) %pad%"},{"Name":"UserAuthenticationMethod","Value":"1"},{"Name":"RequestType","Value":"%OAuth2:Authorize|Login:login|Login:reprocess%"}],"ModifiedProperties":[],"Actor":[{"ID":"%guid%","Type":0},{"ID":"%other%@%domain%","Type":5}],"ActorContextId":"%tenant%","ActorIpAddress":"%ip%","InterSystemsId":"%guid%","IntraSystemId":"%guid%","SupportTicketId":"","Target":[{"ID":"00000003-0000-0000-c000-000000000000","Type":0}],"TargetContextId":"%tenant%","ApplicationId":"89bee1f7-5e6e-4d8a-9f3d-ecd601259da7","DeviceProperties":[{"Name":"OS","Value":"%Windows10|Linux|MacOs%"},{"Name":"BrowserType","Value":"%Edge|Firefox%"},{"Name":"IsCompliantAndManaged","Value":"False"},{"Name":"SessionId","Value":"%guid%"}],"ErrorNumber":"0"}"#;

const SIGN_IN_FAILED: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"UserLoginFailed","OrganizationId":"%tenant%","RecordType":15,"ResultStatus":"%Failed|failed|Success%","UserKey":"%guid%","UserType":0,"Version":1,"Workload":"AzureActiveDirectory","ClientIP":%"192.0.2.9"|"2001:db8::17"|null%,"ObjectId":"00000002-0000-0000-c000-000000000000","UserId":"%account%@%domain%","AzureActiveDirectoryEventType":1,"ExtendedProperties":[{"Name":"ResultStatusDetail","Value":"UserError"},{"Name":"UserAgent","Value":"%python-requests/2.32|Mozilla/5.0% %pad%"},{"Name":"RequestType","Value":"OAuth2:Token"}],"ModifiedProperties":[],"Actor":[{"ID":"%guid%","Type":0},{"ID":"%other%@%domain%","Type":5}],"ActorContextId":"%tenant%","ActorIpAddress":"%ip%","InterSystemsId":"%guid%","IntraSystemId":"%guid%","SupportTicketId":"","Target":[{"ID":"00000002-0000-0000-c000-000000000000","Type":0}],"TargetContextId":"%tenant%","ApplicationId":"1b730954-1685-4b74-9bfd-dac224a7b894","DeviceProperties":[],%"ErrorNumber":"50126","LogonError":"InvalidUserNameOrPassword"|"ErrorNumber":"50053","LogonError":"IdsLocked"|"ErrorCode":"50076","LogonError":"UserStrongAuthClientAuthNRequiredInterrupt"%}"#;

const DIRECTORY_CHANGE: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"%Add member to role.|Update user.|Consent to application.|Reset user password.%","OrganizationId":"%tenant%","RecordType":8,"ResultStatus":"Success","UserKey":"10032000%digits%@%domain%","UserType":0,"Version":1,"Workload":"AzureActiveDirectory","ClientIP":null,"ObjectId":"%other%@%domain%","UserId":"%account%@%domain%","AzureActiveDirectoryEventType":1,"ExtendedProperties":[{"Name":"additionalDetails","Value":"{\"UserType\":\"Member\",\"Note\":\"%pad%\"}"},{"Name":"extendedAuditEventCategory","Value":"Role"}],"ModifiedProperties":[{"Name":"Role.DisplayName","NewValue":"%Global Reader|Prüferin – Sicherheit|監査人%","OldValue":""},{"Name":"Included Updated Properties","NewValue":"Role.DisplayName","OldValue":null}],"Actor":[{"ID":"%account%@%domain%","Type":5},{"ID":"%guid%","Type":2},{"ID":"10032000%digits%","Type":3}],"ActorContextId":"%tenant%","ActorIpAddress":"%ip%","InterSystemsId":"%guid%","IntraSystemId":"%guid%","SupportTicketId":"","Target":[{"ID":"User_%guid%","Type":2},{"ID":"%other%@%domain%","Type":5}],"TargetContextId":"%tenant%"}"#;

const OLD_LOGON: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"PasswordLogonInitialAuthUsingPassword","OrganizationId":"%tenant%","RecordType":9,"ResultStatus":"failed","UserKey":"10032000%digits%@%domain%","UserType":0,"Version":1,"Workload":"AzureActiveDirectory","ClientIP":"%ip%","ObjectId":"Unknown","UserId":"%account%@%domain%","AzureActiveDirectoryEventType":0,"ExtendedProperties":[{"Name":"LoginError","Value":"-2147217390;PP_E_BAD_PASSWORD;The entered and stored passwords do not match.%pad%"}],"Application":"Office 365","Client":"Exchange","LoginStatus":%-2147217390|"-2147217390"%,"UserDomain":"%domain%"}"#;

const CMDLET: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"%Set-Mailbox|New-InboxRule|Add-MailboxPermission|Set-TransportRule%","OrganizationId":"%tenant%","RecordType":1,"ResultStatus":"%True|True|False%","UserKey":"10032000%digits%","UserType":%2|2|3|"2"%,"Version":1,"Workload":"Exchange","ClientIP":"%203.0.113.9|[2001:db8::17]:443|203.0.113.9:50123%","ObjectId":"%domain%/%other%","UserId":"%admin@contoso.onmicrosoft.com|NT AUTHORITY\\SYSTEM (w3wp)|ada@contoso.onmicrosoft.com%","AppId":"","ClientAppId":"","ExternalAccess":%false|false|true%,"OrganizationName":"%domain%","OriginatingServer":"AB1PR01MB00%n% (15.20.9000.012)%||\r\n%","Parameters":[{"Name":"Identity","Value":"%other%"},{"Name":"DeliverToMailboxAndForward","Value":"True"},{"Name":"Description","Value":"%Weiterleitung für März|転送|%%pad%"}],"SessionId":"%guid%","AppPoolName":"MSExchangeAdminApiNetCore","CorrelationID":"","RequestId":"%guid%"}"#;

const MAIL_ITEM: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"%SendAs|Create|Update|SendOnBehalf%","OrganizationId":"%tenant%","RecordType":2,"ResultStatus":"Succeeded","UserKey":"10032000%digits%","UserType":0,"Version":1,"Workload":"Exchange","ClientIP":"%ip%","UserId":"%account%@%domain%","ClientIPAddress":"%ip%","ClientInfoString":"Client=%OWA;Action=ViaProxy|REST;;|MSExchangeRPC%","ExternalAccess":false,"InternalLogonType":0,"LogonType":%0|2|"2"%,"LogonUserSid":"S-1-5-21-1-2-3-10%n%","MailboxGuid":"%guid%","MailboxOwnerSid":"S-1-5-21-1-2-3-10%n%","MailboxOwnerUPN":"%sales|Sales%@%domain%","OrganizationName":"%domain%","OriginatingServer":"AB1PR01MB00%n% (15.20.9000.012)%\r\n||\n%","SessionId":%null|""|"7f2c0a14-0000-4d5e-8f2c-000000000009"%,"Item":{"Attachments":"%price.xlsx (18432b)|größe.png (599b); b.pdf (12kb)|%%pad%","Id":"RgAAAA%digits%%digits%","InternetMessageId":"<%digits%@AB1PR01MB0001.eurprd01.prod.outlook.com>","IsRecord":false,"ParentFolder":{"Id":"LgAAAA%digits%","Path":"\\%Sent Items|Drafts|Entwürfe%"},"SizeInBytes":%18432|599|"2048"%,"Subject":"%Prices|Rechnung für März – Ä|請求書 🧾|RE: \"final\"|%"}}"#;

const MAIL_GROUP: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"%HardDelete|SoftDelete|MoveToDeletedItems|Move%","OrganizationId":"%tenant%","RecordType":3,"ResultStatus":"%Succeeded|PartiallySucceeded%","UserKey":"10032000%digits%","UserType":0,"Version":1,"Workload":"Exchange","ClientIP":"%ip%","UserId":"%account%@%domain%","ClientIPAddress":"%::1|192.0.2.44%","ClientInfoString":"Client=OWA;Action=ViaProxy","ExternalAccess":false,"InternalLogonType":0,"LogonType":0,"LogonUserSid":"S-1-5-21-1-2-3-10%n%","MailboxGuid":"%guid%","MailboxOwnerSid":"S-1-5-21-1-2-3-10%n%","MailboxOwnerUPN":"%account%@%domain%","OrganizationName":"%domain%","OriginatingServer":"AB1PR01MB00%n% (15.20.9000.012)\r\n","AffectedItems":[{"Attachments":"","Id":"RgAAAA%digits%","InternetMessageId":"<%digits%@mail.example.test>","ParentFolder":{"Id":"LgAAAA%digits%","Path":"\\Inbox"},"Subject":"%Invoice|会議|%%pad%"},{"Id":"RgAAAA%digits%","ParentFolder":{"Id":"LgAAAA%digits%","Path":"\\Inbox"},"Subject":null}],"CrossMailboxOperation":false,"DestFolder":{"Id":"LgAAAA%digits%","Path":"\\Deleted Items"},"Folder":{"Id":"LgAAAA%digits%","Path":"\\Inbox"}}"#;

const MAIL_ACCESS: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"MailItemsAccessed","OrganizationId":"%tenant%","RecordType":50,"ResultStatus":"Succeeded","UserKey":"10032000%digits%","UserType":0,"Version":1,"Workload":"Exchange","UserId":"%account%@%domain%","AppId":"00000002-0000-0ff1-ce00-000000000000","ClientAppId":"","ClientIPAddress":"%ip%","ClientInfoString":"Client=OWA;Mozilla/5.0%pad%;","ExternalAccess":false,"InternalLogonType":0,"LogonType":0,"LogonUserSid":"S-1-5-21-1-2-3-10%n%","MailboxGuid":"%guid%","MailboxOwnerSid":"S-1-5-21-1-2-3-10%n%","MailboxOwnerUPN":"%account%@%domain%","OperationProperties":[{"Name":"MailAccessType","Value":"%Bind|Sync%"},{"Name":"IsThrottled","Value":"False"}],"OrganizationName":"%domain%","OriginatingServer":"AB1PR01MB00%n% (15.20.4200.000)\n","SessionId":"%guid%","Folders":[{"FolderItems":[{"InternetMessageId":"<%digits%@mail.example.test>","SizeInBytes":%n%021},{"InternetMessageId":"<%digits%@mail.example.test>","SizeInBytes":%n%4}],"Id":"LgAAAA%digits%","Path":"\\%Inbox|受信トレイ%"}],"OperationCount":2}"#;

const FILE: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"%FileAccessed|FileModified|FileDownloaded|FileUploaded|FileDeleted|FilePreviewed%","OrganizationId":"%tenant%","RecordType":6,"UserKey":"i:0h.f|membership|10032000%digits%@live.com","UserType":0,"Version":1,"Workload":"OneDrive","ClientIP":"%ip%","ObjectId":"https://contoso-my.sharepoint.com/personal/ada_contoso_onmicrosoft_com/Documents/plan %n%.docx","UserId":"%account%@%domain%","CorrelationId":"%guid%","EventSource":"SharePoint","ItemType":"File","ListId":"%guid%","ListItemUniqueId":"%guid%","Site":"%guid%","UserAgent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64)%pad%","WebId":"%guid%","HighPriorityMediaProcessing":false,"SourceFileExtension":"docx","SiteUrl":"https://contoso-my.sharepoint.com/personal/ada_contoso_onmicrosoft_com/","SourceFileName":"%plan|Größe–Übersicht|計画% %n%.docx","SourceRelativeUrl":"Documents","FileSizeBytes":%20480|"20480"|null%}"#;

const FILE_MOVED: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"%FileMoved|FileCopied|FileRenamed%","OrganizationId":"%tenant%","RecordType":6,"UserKey":"i:0h.f|membership|10032000%digits%@live.com","UserType":0,"Version":1,"Workload":"SharePoint","ClientIP":"%ip%","ObjectId":"https://contoso.sharepoint.com/sites/board/Shared Documents/budget.xlsx","UserId":"%account%@%domain%","CorrelationId":"%guid%","EventSource":"SharePoint","ItemType":"File","ListId":"%guid%","ListItemUniqueId":"%guid%","Site":"%guid%","UserAgent":"OneDriveMpc-Transform_Zip/1.0%pad%","WebId":"%guid%","DestinationFileExtension":"xlsx","DestinationFileName":"budget (%n%).xlsx","DestinationRelativeUrl":"Shared Documents/Archiv/März","SourceFileExtension":"xlsx","SiteUrl":"https://contoso.sharepoint.com/sites/board/","SourceFileName":"budget.xlsx","SourceRelativeUrl":"Shared Documents"}"#;

const SHARING: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"%SharingSet|AnonymousLinkCreated|AddedToSecureLink%","OrganizationId":"%tenant%","RecordType":14,"UserKey":"i:0h.f|membership|10032000%digits%@live.com","UserType":0,"Version":1,"Workload":"SharePoint","ClientIP":"%ip%","ObjectId":"https://contoso.sharepoint.com/sites/board/Shared Documents/list.csv","UserId":"%ada@contoso.onmicrosoft.com|SHAREPOINT\\system|app@sharepoint%","CorrelationId":"%guid%","EventSource":"SharePoint","ItemType":"File","ListId":"%guid%","ListItemUniqueId":"%guid%","Site":"%guid%","UserAgent":"","WebId":"%guid%","EventData":"<Type>Edit</Type><MembersCanShareApplied>False</MembersCanShareApplied>%pad%","SourceFileExtension":"csv","UniqueSharingId":"%guid%","SiteUrl":"https://contoso.sharepoint.com/sites/board","SourceFileName":"list.csv","SourceRelativeUrl":"Shared Documents","TargetUserOrGroupName":"%other%_example.test#ext#@%domain%","TargetUserOrGroupType":"%Guest|Member|Group%","SharingLinkScope":"Anonymous"}"#;

const LIST: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"%ListViewed|ListItemUpdated%","OrganizationId":"%tenant%","RecordType":36,"UserKey":"i:0h.f|membership|10032000%digits%@live.com","UserType":0,"Version":1,"Workload":"SharePoint","ClientIP":"%ip%","ObjectId":"https://contoso.sharepoint.com/sites/board/Lists/Tasks","UserId":"%account%@%domain%","CorrelationId":"%guid%","EventSource":"SharePoint","ItemType":"List","ListId":"%guid%","Site":"%guid%","UserAgent":"Mozilla/5.0%pad%","WebId":"%guid%","ListTitle":"%Tasks|Aufgaben für Ä|タスク%","ListUrl":"Lists/Tasks","ListBaseType":"GenericList","ListBaseTemplateType":"107","IsHiddenList":false,"IsDocLib":false}"#;

const DLP_MAIL: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"%DlpRuleMatch|DlpRuleMatch|DlpRuleUndo%","OrganizationId":"%tenant%","RecordType":13,"UserKey":"1153801120220000001","UserType":4,"Version":1,"Workload":"Exchange","ObjectId":"<%digits%@%domain%>","UserId":"DlpAgent","IncidentId":"%guid%","ExchangeMetaData":{"BCC":[],"CC":[],"FileSize":20480,"From":"%account%@%domain%","MessageID":"<%digits%@%domain%>","RecipientCount":1,"Sent":"%moment%","Subject":"%card list|Kartenliste für März|カード一覧%%pad%","To":["out@example.test"],"UniqueID":"%guid%"},"PolicyDetails":[{"PolicyId":"4a4b7b5f-0000-49c6-8a52-3f1d5b2c0001","PolicyName":"Card data","Rules":[{"ActionParameters":["GenerateIncidentReport:SiteAdmin"],"Actions":["BlockAccess","NotifyUser","GenerateIncidentReport"],"ConditionsMatched":{"OtherConditions":[{"Name":"AccessScope","Value":"NotInOrganization"}],"SensitiveInformation":[{"Confidence":%85|65|"85"%,"Count":%n%,"Location":"Message Body","SensitiveType":"50842eb7-edc8-4019-85dd-5a5c1f2bb085","SensitiveInformationTypeName":"Credit Card Number","UniqueCount":3%detected%}]},"RuleId":"d3a1d0c7-0000-4d6f-9b1a-7b1f0c3e0002","RuleMode":"Enable","RuleName":"High volume","Severity":"%High|Medium|Low%"}]}],"SensitiveInfoDetectionIsIncluded":%included%}"#;

const DLP_FILE: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"DLPRuleMatch","OrganizationId":"%tenant%","RecordType":11,"UserKey":"DlpPolicyEventBasedAssistantOneDriveForBusiness","UserType":4,"Version":1,"Workload":"%OneDrive|SharePoint%","ObjectId":"%guid%","UserId":"DlpPolicyEventBasedAssistantOneDriveForBusiness","IncidentId":"%guid%","SharePointMetaData":{"FileName":"%cards|Karten–Ä%.xlsx","FileOwner":"%Ada|Zoë Ångström%%pad%","FilePathUrl":"https://contoso-my.sharepoint.com/personal/ada_contoso_onmicrosoft_com/Documents/cards.xlsx","From":"%account%@%domain%","ItemCreationTime":"%moment%","ItemLastModifiedTime":"%moment%","SiteCollectionGuid":"%guid%","SiteCollectionUrl":"https://contoso-my.sharepoint.com/personal/ada_contoso_onmicrosoft_com","UniqueID":"%guid%"},"ExceptionInfo":%null|""|{"Reason":"Override","FalsePositive":false,"Justification":"signed off","Rules":[]}%,"PolicyDetails":[{"PolicyId":"4a4b7b5f-0000-49c6-8a52-3f1d5b2c0001","PolicyName":"Card data","Rules":[{"Actions":["NotifyUser"],"ConditionsMatched":{"SensitiveInformation":[{"Confidence":85,"Count":%n%,"SensitiveType":"0e9b3178-9678-47dd-a509-37222ca96b42","SensitiveInformationDetailedClassificationAttributes":[{"Confidence":85,"Count":3,"IsMatch":true}],"UniqueCount":3%detected%}]},"RuleId":"d3a1d0c7-0000-4d6f-9b1a-7b1f0c3e0003","RuleMode":"Enable","RuleName":"Any card","Severity":"Low"}]}],"SensitiveInfoDetectionIsIncluded":%included%}"#;

const DLP_DEVICE: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"DlpRuleMatch","OrganizationId":"%tenant%","RecordType":63,"UserKey":"DlpAgent","UserType":0,"Version":1,"Workload":"Endpoint","ClientIP":"%ip%","ObjectId":"C:\\Users\\ada\\Desktop\\cards.csv","UserId":"%account%@%domain%","EndpointMetaData":{"SensitiveInformation":[{"Confidence":85,"Count":%n%,"SensitiveType":"cb353f78-2b72-4c3c-8827-92ebe4f69fdf","UniqueCount":1%detected%}],"EnforcementMode":%1|4|"4"%,"FileExtension":"csv","FileType":"","DeviceName":"ws-%n%%pad%"},"PolicyDetails":[{"PolicyId":"4a4b7b5f-0000-49c6-8a52-3f1d5b2c0004","PolicyName":"Devices","Rules":[{"RuleId":"d3a1d0c7-0000-4d6f-9b1a-7b1f0c3e0005","RuleName":"USB","Severity":"High","RuleMode":"Enable","Actions":[]}]}],"SensitiveInfoDetectionIsIncluded":%included%}"#;

const ALERT: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"%AlertTriggered|AlertEntityGenerated|AlertUpdated%","OrganizationId":"%tenant%","RecordType":40,"ResultStatus":"Succeeded","UserKey":"SecurityComplianceAlerts","UserType":4,"Version":1,"Workload":"SecurityComplianceCenter","ObjectId":"%guid%","UserId":"SecurityComplianceAlerts","AlertEntityId":"%other%@%domain%","AlertId":"%guid%","AlertLinks":[],"AlertType":"%System|Custom%","Category":"%ThreatManagement|AccessGovernance|MailFlow|DataLossPrevention%","Comments":"New alert%pad%","Data":"{\"etype\":\"User\",\"eid\":\"%other%@%domain%\",\"tid\":\"%tenant%\",\"op\":\"Set-Mailbox\",\"lon\":\"AlertTriggered\"}","EntityType":"%User|Recipients|Sender|MalwareFamily%","Name":"%Elevation of Exchange admin privilege|Ungewöhnliche Menge gelöschter Dateien|不審なサインイン%","PolicyId":"%guid%","Severity":"%Low|Medium|High%","Source":"%Office 365 Security & Compliance|Cloud App Security%","Status":"%Active|Investigating|Resolved%"}"#;

const TEAMS: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"%TeamCreated|MemberAdded|ChannelAdded|TeamsSessionStarted%","OrganizationId":"%tenant%","RecordType":25,"UserKey":"%guid%","UserType":0,"Version":1,"Workload":"MicrosoftTeams","ClientIP":"%ip%","UserId":"%account%@%domain%","CommunicationType":"Team","TeamGuid":"19:%digits%@thread.tacv2","TeamName":"%Board|Führungskreis|取締役会%%pad%","ItemName":"","Members":[{"DisplayName":"%Zoë Ångström|Bo%","Role":%1|"1"%,"UPN":"%other%@%domain%"}],"AADGroupId":"%guid%","ExtraProperties":[{"Key":"TimeZone","Value":""},{"Key":"OsName","Value":"windows"}]}"#;

const POWER_BI: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"%ViewReport|ExportReport|ShareReport%","OrganizationId":"%tenant%","RecordType":20,"UserKey":"10032000%digits%","UserType":0,"Version":1,"Workload":"PowerBI","ClientIP":"%ip%","UserId":"%account%@%domain%","UserAgent":"Mozilla/5.0%pad%","Activity":"ViewReport","ItemName":"Umsatz","WorkSpaceName":"Vertrieb – Süd","DatasetName":"Umsatz","ReportName":"Umsatz","WorkspaceId":"%guid%","ObjectId":"Umsatz","DatasetId":"%guid%","ReportId":"%guid%","IsSuccess":true,"ReportType":"PowerBIReport","RequestId":"%guid%","ActivityId":"%guid%","DistributionMethod":"Workspace"}"#;

const UNKNOWN: &str = r#"{"CreationTime":"%time%","Id":"%id%","Operation":"SomethingNew","OrganizationId":"%tenant%","RecordType":%9999|9999|"9999"|476%,"ResultStatus":"","UserKey":"","UserType":%10|0%,"Version":%1|"1"%,"Workload":"%ContosoPreview|Copilot%","ClientIP":"","ObjectId":null,"UserId":"%Not Available|S-1-5-18|ServicePrincipal_00000000-0000-0000-0000-000000000001%","AppAccessContext":%{}|[]|{"AADSessionId":"","APIId":"00000003-0000-0000-c000-000000000000","ClientAppName":"Contoso CRM","IssuedAtTime":"1601-01-01T00:00:00"}%,"Extra":{"Nested":{"Text":"\u0000\t\u2028 – %pad%","Empty":{},"Nothing":null}}}"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::data::audit_template::{Draws, Subject, Template};
    use crate::sim::world::content::CONTENT_TYPES;
    use serde_json::Value;

    #[test]
    fn every_template_is_a_record_however_it_is_filled() {
        for (at, template) in CONTENT_TYPES
            .iter()
            .flat_map(|name| templates(name))
            .enumerate()
        {
            let parsed = Template::parse(template);
            for number in 0..40 {
                let subject = Subject {
                    tenant: "11111111-2222-3333-4444-555555555555",
                    domain: "contoso.onmicrosoft.com",
                    moment: "2026-01-14T12:00:00Z".parse().unwrap(),
                    detected: number % 2 == 0,
                };
                let mut text = String::new();
                let place = parsed.fill(&mut Draws::new([7; 32], number), &subject, &mut text);
                text.insert_str(place, "PADDING");
                let record: Value = serde_json::from_str(&text)
                    .unwrap_or_else(|error| panic!("{at}: {error}: {text}"));
                for name in [
                    "CreationTime",
                    "Id",
                    "Operation",
                    "OrganizationId",
                    "RecordType",
                    "UserType",
                    "UserKey",
                    "Workload",
                    "UserId",
                ] {
                    assert!(record.get(name).is_some(), "{at} has no {name}");
                }
                let strings = record.to_string();
                assert!(place > 1 && strings.contains("PADDING"), "{at}: {strings}");
                assert!(!text.contains('%'), "{at}: {text}");
            }
        }
    }
}
