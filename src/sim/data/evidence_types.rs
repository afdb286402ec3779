//! The shapes of evidence as Graph's metadata lists them: a table of types, one of enumerations.
//!
//! It is data, read by `evidence.rs`. It deliberately knows no values: those are in `texts.rs`.

/// `type = property: kind, …`; no kind means text. An indented line continues the one above.
///
/// The types whose name ends in `Evidence` are the 48 that stand in `evidence[]`; the others are
/// complex types inside them.
pub(crate) const TYPES: &str = "\
activeDirectoryDomainEvidence = activeDirectoryDomainName, trustedDomains:
  activeDirectoryDomainEvidence[]
aiAgentEvidence = agentId, agentName, hostingPlatformType: aiAgentPlatform, instructions
amazonResourceEvidence = amazonAccountId, amazonResourceId, resourceName, resourceType
analyzedMessageEvidence = antiSpamDirection, attachmentsCount: i64, deliveryAction,
  deliveryLocation, internetMessageId, language, networkMessageId, p1Sender: emailSender,
  p2Sender: emailSender, receivedDateTime: datetime, recipientEmailAddress, senderIp, subject,
  threatDetectionMethods: str[], threats: str[], urlCount: i64, urls: str[], urn
azureResourceEvidence = resourceId, resourceName, resourceType
blobContainerEvidence = name, storageResource: azureResourceEvidence, url
blobEvidence = blobContainer: blobContainerEvidence, etag, fileHashes: fileHash[], name, url
cloudApplicationEvidence = appId: i64, displayName, instanceId: i64, instanceName, saasAppId:
  i64, stream: stream
cloudLogonRequestEvidence = requestId
cloudLogonSessionEvidence = account: userEvidence, browser, deviceName, operatingSystem,
  previousLogonDateTime: datetime, protocol, sessionId, startUtcDateTime: datetime, userAgent
containerEvidence = args: str[], command: str[], containerId, image: containerImageEvidence,
  isPrivileged: bool, name, pod: kubernetesPodEvidence
containerImageEvidence = digestImage: containerImageEvidence, imageId, registry:
  containerRegistryEvidence
containerRegistryEvidence = registry
deviceEvidence = azureAdDeviceId, defenderAvStatus: defenderAvStatus, deviceDnsName, dnsDomain,
  firstSeenDateTime: datetime, healthStatus: deviceHealthStatus, hostName, ipInterfaces: str[],
  lastExternalIpAddress, lastIpAddress, loggedOnUsers: loggedOnUser[], mdeDeviceId, ntDomain,
  onboardingStatus: onboardingStatus, osBuild: i64, osPlatform, rbacGroupId: i32, rbacGroupName,
  resourceAccessEvents: resourceAccessEvent[], riskScore: deviceRiskScore, version, vmMetadata:
  vmMetadata
dnsEvidence = dnsServerIp: ipEvidence, domainName, hostIpAddress: ipEvidence, ipAddresses:
  ipEvidence[]
fileEvidence = detectionStatus: detectionStatus, fileDetails: fileDetails, mdeDeviceId
fileHashEvidence = algorithm: fileHashAlgorithm, value
gitHubOrganizationEvidence = company, displayName, email, login, orgId, webUrl
gitHubRepoEvidence = baseUrl, login, owner, ownerType, repoId
gitHubUserEvidence = email, login, name, userId, webUrl
googleCloudResourceEvidence = fullResourceName, location, locationType: googleCloudLocationType,
  projectId, projectNumber: i64, resourceName, resourceType
hostLogonSessionEvidence = account: userEvidence, endUtcDateTime: datetime, host:
  deviceEvidence, sessionId, startUtcDateTime: datetime
ioTDeviceEvidence = deviceId, deviceName, devicePageLink, deviceSubType, deviceType, importance:
  ioTDeviceImportanceType, ioTHub: azureResourceEvidence, ioTSecurityAgentId, ipAddress:
  ipEvidence, isAuthorized: bool, isProgramming: bool, isScanner: bool, macAddress,
  manufacturer, model, nics: nicEvidence[], operatingSystem, owners: str[], protocols: str[],
  purdueLayer, sensor, serialNumber, site, source, sourceRef: urlEvidence, zone
ipEvidence = countryLetterCode, ipAddress, location: geoLocation, stream: stream
kubernetesClusterEvidence = cloudResource: alertEvidence, distribution, name, platform:
  kubernetesPlatform, version
kubernetesControllerEvidence = labels: dictionary, name, namespace: kubernetesNamespaceEvidence,
  type
kubernetesNamespaceEvidence = cluster: kubernetesClusterEvidence, labels: dictionary, name
kubernetesPodEvidence = containers: containerEvidence[], controller:
  kubernetesControllerEvidence, ephemeralContainers: containerEvidence[], initContainers:
  containerEvidence[], labels: dictionary, name, namespace: kubernetesNamespaceEvidence, podIp:
  ipEvidence, serviceAccount: kubernetesServiceAccountEvidence
kubernetesSecretEvidence = name, namespace: kubernetesNamespaceEvidence, secretType
kubernetesServiceAccountEvidence = name, namespace: kubernetesNamespaceEvidence
kubernetesServiceEvidence = clusterIP: ipEvidence, externalIPs: ipEvidence[], labels:
  dictionary, name, namespace: kubernetesNamespaceEvidence, selector: dictionary, servicePorts:
  kubernetesServicePort[], serviceType: kubernetesServiceType
mailboxConfigurationEvidence = configurationId, configurationType: mailboxConfigurationType,
  displayName, externalDirectoryObjectId: guid, mailboxPrimaryAddress, upn
mailboxEvidence = displayName, primaryAddress, upn, userAccount: userAccount
mailClusterEvidence = clusterBy, clusterByValue, emailCount: i64, networkMessageIds: str[],
  query, urn
malwareEvidence = category, files: fileEvidence[], name, processes: processEvidence[]
networkConnectionEvidence = destinationAddress: ipEvidence, destinationPort: i32, protocol:
  protocolType, sourceAddress: ipEvidence, sourcePort: i32
nicEvidence = ipAddress: ipEvidence, macAddress, vlans: str[]
oauthApplicationEvidence = appId, displayName, objectId, publisher
processEvidence = detectionStatus: detectionStatus, imageFile: fileDetails, mdeDeviceId,
  parentProcessCreationDateTime: datetime, parentProcessId: i64, parentProcessImageFile:
  fileDetails, processCommandLine, processCreationDateTime: datetime, processId: i64,
  userAccount: userAccount
registryKeyEvidence = registryHive, registryKey
registryValueEvidence = mdeDeviceId, registryHive, registryKey, registryValue,
  registryValueName, registryValueType
sasTokenEvidence = allowedIpAddresses, allowedResourceTypes: str[], allowedServices: str[],
  expiryDateTime: datetime, permissions: str[], protocol, signatureHash, signedWith,
  startDateTime: datetime, storageResource: azureResourceEvidence
securityGroupEvidence = activeDirectoryObjectGuid: guid, displayName, distinguishedName,
  friendlyName, securityGroupId, sid
servicePrincipalEvidence = appId, appOwnerTenantId, servicePrincipalName,
  servicePrincipalObjectId, servicePrincipalType: servicePrincipalType, tenantId
submissionMailEvidence = networkMessageId, recipient, reportType, sender, senderIp, subject,
  submissionDateTime: datetime, submissionId, submitter
teamsMessageEvidence = campaignId, channelId, deliveryAction: teamsMessageDeliveryAction,
  deliveryLocation: teamsDeliveryLocation, files: fileEvidence[], groupId, isExternal: bool,
  isOwned: bool, lastModifiedDateTime: datetime, messageDirection: antispamTeamsDirection,
  messageId, owningTenantId: guid, parentMessageId, receivedDateTime: datetime, recipients:
  str[], senderFromAddress, senderIP, sourceAppName, sourceId, subject, suspiciousRecipients:
  str[], threadId, threadType, urls: urlEvidence[]
urlEvidence = url
userEvidence = stream: stream, userAccount: userAccount
userAccount = accountName, domainName, userSid, azureAdUserId, userPrincipalName, displayName,
  activeDirectoryObjectGuid: guid, tenantId, resourceAccessEvents: resourceAccessEvent[]
fileDetails = fileName, filePath, fileSize: i64, filePublisher, issuer, signer, md5, sha1,
  sha256, sha256Ac
emailSender = displayName, domainName, emailAddress
loggedOnUser = accountName, domainName
vmMetadata = cloudProvider: vmCloudProvider, resourceId, subscriptionId, vmId
geoLocation = city, countryName, latitude: f64, longitude: f64, state
stream = name
resourceAccessEvent = accessDateTime: datetime, accountId, ipAddress, resourceIdentifier
fileHash = algorithm: fileHashAlgorithm, value
kubernetesServicePort = appProtocol, name, nodePort: i32, port: i32, protocol:
  containerPortProtocol, targetPort
";

/// `enumeration = member, …`; the members after a `;` are newer than `unknownFutureValue`.
pub(crate) const ENUMS: &str = "\
alertSeverity = unknown, informational, low, medium, high
alertStatus = unknown, new, inProgress, resolved
alertClassification = unknown, falsePositive, truePositive, informationalExpectedActivity
alertDetermination = unknown, apt, malware, securityPersonnel, securityTesting,
  unwantedSoftware, other, multiStagedAttack, compromisedAccount, phishing,
  maliciousUserActivity, notMalicious, notEnoughDataToValidate, confirmedActivity,
  lineOfBusinessApplication
investigationState = unknown, terminated, successfullyRemediated, benign, failed,
  partiallyRemediated, running, pendingApproval, pendingResource, queued, innerFailure,
  preexistingAlert, unsupportedOs, unsupportedAlertType, suppressedAlert, partiallyInvestigated,
  terminatedByUser, terminatedBySystem
serviceSource = unknown, microsoftDefenderForEndpoint, microsoftDefenderForIdentity,
  microsoftDefenderForCloudApps, microsoftDefenderForOffice365, microsoft365Defender,
  azureAdIdentityProtection, microsoftAppGovernance, dataLossPrevention;
  microsoftDefenderForCloud, microsoftSentinel, microsoftInsiderRiskManagement,
  microsoftThreatIntelligence, microsoftSecurityForAI
detectionSource = unknown, microsoftDefenderForEndpoint, antivirus, smartScreen, customTi,
  microsoftDefenderForOffice365, automatedInvestigation, microsoftThreatExperts,
  customDetection, microsoftDefenderForIdentity, cloudAppSecurity, microsoft365Defender,
  azureAdIdentityProtection, manual, microsoftDataLossPrevention, appGovernancePolicy,
  appGovernanceDetection; microsoftDefenderForCloud, microsoftSentinel, microsoftDefenderForIoT,
  microsoftDefenderForServers, microsoftDefenderForStorage, microsoftDefenderForDNS,
  microsoftDefenderForDatabases, microsoftDefenderForContainers, microsoftDefenderForNetwork,
  microsoftDefenderForAppService, microsoftDefenderForKeyVault,
  microsoftDefenderForResourceManager, microsoftDefenderForApiManagement, nrtAlerts,
  scheduledAlerts, microsoftDefenderThreatIntelligenceAnalytics, builtInMl,
  microsoftInsiderRiskManagement, microsoftThreatIntelligence, microsoftDefenderForAIServices,
  securityCopilot
evidenceRemediationStatus = none, remediated, prevented, blocked, notFound; active,
  pendingApproval, declined, unremediated, running, partiallyRemediated
evidenceRole = unknown, contextual, scanned, source, destination, created, added, compromised,
  edited, attacked, attacker, commandAndControl, loaded, suspicious, policyViolator
evidenceVerdict = unknown, suspicious, malicious, noThreatsFound
detectionStatus = detected, blocked, prevented
defenderAvStatus = notReporting, disabled, notUpdated, updated, unknown, notSupported
deviceHealthStatus = active, inactive, impairedCommunication, noSensorData,
  noSensorDataImpairedCommunication, unknown
onboardingStatus = insufficientInfo, onboarded, canBeOnboarded, unsupported
deviceRiskScore = none, informational, low, medium, high
vmCloudProvider = unknown, azure
fileHashAlgorithm = unknown, md5, sha1, sha256, sha256ac
aiAgentPlatform = unknown, azureAIFoundry, copilotStudio, copilot
googleCloudLocationType = unknown, regional, zonal, global
ioTDeviceImportanceType = unknown, low, normal, high
kubernetesPlatform = unknown, aks, eks, gke, arc
kubernetesServiceType = unknown, clusterIP, externalName, nodePort, loadBalancer
mailboxConfigurationType = mailForwardingRule, owaSettings, ewsSettings, mailDelegation,
  userInboxRule
servicePrincipalType = unknown, application, managedIdentity, legacy
protocolType = tcp, udp
teamsMessageDeliveryAction = unknown, deliveredAsSpam, delivered, blocked, replaced
teamsDeliveryLocation = unknown, teams, quarantine, failed
antispamTeamsDirection = unknown, inbound, outbound, intraorg
containerPortProtocol = udp, tcp, sctp
";
