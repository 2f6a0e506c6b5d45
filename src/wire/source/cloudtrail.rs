//! AWS CloudTrail's events, as EventBridge sends them to an API destination.
//!
//! Of a call's parameters only those that name what is altered are read: others may be secret.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Dialect, Post, Source, Verbs,
    draft::{Draft, Left, at, ignored, labels, need, settle},
    written::{Flag, Stamp, Text, text_of},
};
use crate::{
    event::{Action, Kind, Resource, Status, digest},
    wire::{Normalised, Refused, signature::Scheme, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "cloudtrail",
    about: "AWS CloudTrail through EventBridge API destinations",
    paths: &["/webhooks/aws"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: &[Scheme::token("x-api-key"), Scheme::Basic, Scheme::Bearer],
    headers: &[],
    id: "`detail.eventID`",
    taken: "calls that alter something, by people, pipelines and CloudFormation, with the names of what \
            they alter",
    left: "calls that only read; calls that were refused; what AWS does by itself; sessions, log streams \
           and the like; all parameters but names",
    convert,
};

/// What EventBridge calls an event of CloudTrail.
const DETAIL_TYPE: &str = "AWS API Call via CloudTrail";

/// Calls that begin so only read.
const READS: [&str; 14] = [
    "Describe",
    "Get",
    "List",
    "Head",
    "Lookup",
    "BatchGet",
    "BatchCheck",
    "Query",
    "Scan",
    "Search",
    "Select",
    "Check",
    "Validate",
    "Estimate",
];

/// Calls that alter nothing that could break: sessions, keys in use, streams of logs. A name that is
/// empty stands for all of a service.
const NOISE: [(&str, &str); 14] = [
    ("sts", ""),
    ("signin", ""),
    ("ssmmessages", ""),
    ("ec2messages", ""),
    ("kms", "Decrypt"),
    ("kms", "Encrypt"),
    ("kms", "GenerateDataKey"),
    ("kms", "CreateGrant"),
    ("logs", "CreateLogStream"),
    ("logs", "PutLogEvents"),
    ("logs", "StartQuery"),
    ("ssm", "UpdateInstanceInformation"),
    ("ssm", "PutInventory"),
    ("ecr", "BatchGetImage"),
];

/// A service that does by itself what people wrote.
const WRITTEN: &str = "cloudformation.amazonaws.com";

/// What calls do, by their first word; others alter.
const VERBS: [(Action, &[&str]); 6] = [
    (Action::Restart, &["Reboot", "Restart"]),
    (Action::Enable, &["Enable", "Start", "Activate", "Resume"]),
    (Action::Disable, &["Disable", "Stop", "Deactivate", "Suspend"]),
    (
        Action::Delete,
        &[
            "Delete",
            "Terminate",
            "Detach",
            "Revoke",
            "Deregister",
            "Remove",
            "Disassociate",
            "Release",
        ],
    ),
    (
        Action::Create,
        &[
            "Create",
            "Run",
            "Attach",
            "Associate",
            "Authorize",
            "Register",
            "Add",
            "Allocate",
            "Import",
        ],
    ),
    (Action::Rotate, &["Rotate"]),
];

/// What calls of a service alter.
const KINDS: [(Kind, &[&str]); 9] = [
    (Kind::Permission, &["iam", "organizations", "sso", "sso-directory"]),
    (Kind::Dns, &["route53", "route53domains", "route53resolver"]),
    (
        Kind::Database,
        &[
            "rds",
            "dynamodb",
            "elasticache",
            "redshift",
            "docdb",
            "neptune",
            "memorydb",
            "dms",
            "dax",
        ],
    ),
    (
        Kind::Network,
        &[
            "elasticloadbalancing",
            "cloudfront",
            "apigateway",
            "globalaccelerator",
            "wafv2",
            "network-firewall",
            "directconnect",
            "vpc-lattice",
            "servicediscovery",
            "appmesh",
        ],
    ),
    (Kind::Certificate, &["acm", "acm-pca"]),
    (Kind::Secret, &["secretsmanager", "kms"]),
    (Kind::Config, &["ssm", "appconfig", "s3", "events", "sns", "sqs"]),
    (Kind::Scaling, &["autoscaling", "application-autoscaling"]),
    (Kind::Deploy, &["ecs", "lambda", "codedeploy", "elasticbeanstalk", "apprunner", "amplify"]),
];

/// Parts of the names of EC2's calls that are about its network.
const EC2_NETWORK: [&str; 12] = [
    "SecurityGroup",
    "Route",
    "Subnet",
    "Vpc",
    "NetworkAcl",
    "Gateway",
    "Address",
    "NetworkInterface",
    "Vpn",
    "DhcpOptions",
    "PrefixList",
    "CidrBlock",
];

/// Services whose things are what alerts call services.
const SERVES: [&str; 8] = [
    "ecs",
    "lambda",
    "rds",
    "dynamodb",
    "elasticache",
    "elasticbeanstalk",
    "apprunner",
    "autoscaling",
];

/// Parameters that name what is altered; the first that is there counts.
const NAMES: [&str; 44] = [
    "service",
    "functionName",
    "nodegroupName",
    "autoScalingGroupName",
    "dBInstanceIdentifier",
    "dBClusterIdentifier",
    "dBParameterGroupName",
    "dbInstanceIdentifier",
    "replicationGroupId",
    "cacheClusterId",
    "tableName",
    "clusterName",
    "cluster",
    "roleName",
    "userName",
    "policyName",
    "policyArn",
    "groupId",
    "groupName",
    "instanceId",
    "hostedZoneId",
    "listenerArn",
    "ruleArn",
    "targetGroupArn",
    "loadBalancerArn",
    "loadBalancerName",
    "routeTableId",
    "subnetId",
    "vpcId",
    "networkAclId",
    "natGatewayId",
    "certificateArn",
    "distributionId",
    "bucketName",
    "queueUrl",
    "topicArn",
    "secretId",
    "keyId",
    "stackName",
    "repositoryName",
    "applicationName",
    "resourceId",
    "family",
    "name",
];

/// What builds infrastructure out of code, by a part of the user agent in small letters.
const TOOLS: [&str; 6] =
    ["terraform", "opentofu", "pulumi", "cloudformation", "ansible", "aws-cdk"];

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an EventBridge event: an object")]
struct Raw {
    #[serde(rename = "detail-type")]
    detail_type: Text,
    id: Text,
    account: Text,
    region: Text,
    time: Stamp,
    detail: Option<Detail>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    #[serde(rename = "eventID")]
    event_id: Text,
    event_time: Stamp,
    event_source: Text,
    event_name: Text,
    aws_region: Text,
    user_identity: Option<Identity>,
    user_agent: Text,
    request_parameters: Value,
    error_code: Text,
    read_only: Flag,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Identity {
    #[serde(rename = "type")]
    type_name: Text,
    arn: Text,
    user_name: Text,
    invoked_by: Text,
    access_key_id: Text,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let raw: Raw = whole(post.body)?;
    if raw.detail_type.0.is_none() {
        return Err(Refused::new("detail-type", "is missing: this is no EventBridge event"));
    }
    Ok(settle([raw.draft().and_then(|draft| Ok(draft.item(post.received)?))]))
}

impl Raw {
    fn draft(self) -> Result<Draft, Left> {
        if !self.detail_type.is(DETAIL_TYPE) {
            let said = self.detail_type.0.unwrap_or_default();
            return ignored(format!("{said:?} is no call of an API"));
        }
        let detail = need("detail", self.detail)?;
        let call = need("detail.eventName", detail.event_name.0.clone())?;
        let source = need("detail.eventSource", detail.event_source.0.clone())?;
        let service = source.strip_suffix(".amazonaws.com").unwrap_or(&source);
        detail.alters(service, &call)?;
        let id = need("detail.eventID", detail.event_id.0.clone().or(self.id.0))?;
        let action = action(&call);
        let mut draft = Draft::new(["cloudtrail", &id], Status::Succeeded, kind(service, &call));
        draft.action = Some(action);
        let names = detail.names();
        let name = names.first().cloned();
        let actor = detail.actor();
        let what = name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
        draft.title = Some(format!("{service} {call}{what}"));
        draft.finished_at = detail.event_time.or(self.time);
        let tool = detail.tool();
        draft.change_set = detail.act(tool.as_deref());
        draft.labels = labels([
            ("service", name.clone().filter(|_| SERVES.contains(&service))),
            ("cluster", detail.cluster(service)),
            ("region", detail.aws_region.0.clone().or(self.region.0)),
            ("account", self.account.0),
            ("aws_service", Some(service.to_owned())),
            ("tool", tool),
        ]);
        draft.actor = actor;
        let type_name = format!("{service}:{}", thing(&call));
        let resource = |name| Resource { type_name: type_name.clone(), name, action: Some(action) };
        draft.resources = match &names[..] {
            [] => vec![resource(None)],
            names => names.iter().cloned().map(Some).map(resource).collect(),
        };
        Ok(draft)
    }
}

impl Detail {
    /// Whether it is a call that alters something, and that somebody made.
    fn alters(&self, service: &str, call: &str) -> Result<(), Left> {
        if self.read_only.0 || READS.iter().any(|verb| call.starts_with(verb)) {
            return ignored(format!("{call} only reads"));
        }
        let is_noise = |(of, begins): &(&str, &str)| *of == service && call.starts_with(begins);
        if NOISE.iter().any(is_noise) {
            return ignored(format!("{service} {call} alters nothing that could break"));
        }
        if let Some(code) = self.error_code.get() {
            return ignored(format!("{call} was refused: {code}"));
        }
        let who = self.user_identity.as_ref();
        let by =
            who.and_then(|who| who.invoked_by.get()).filter(|by| by.ends_with(".amazonaws.com"));
        let is_aws = who.is_some_and(|who| who.type_name.is("AWSService")) || by.is_some();
        if is_aws && by != Some(WRITTEN) {
            return ignored(format!("AWS called {call} by itself"));
        }
        Ok(())
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let value = at(&self.request_parameters, &[name])?;
        text_of(value.clone()).map(|value| last(&value).to_owned())
    }

    /// What is altered: one thing, or several machines.
    fn names(&self) -> Vec<String> {
        if let Some(name) = NAMES.iter().find_map(|name| self.parameter(name)) {
            return vec![name];
        }
        let machines = self.request_parameters.pointer("/instancesSet/items");
        let machines = machines.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let id = |machine: &Value| {
            at(machine, &["instanceId"]).and_then(Value::as_str).map(str::to_owned)
        };
        machines.iter().filter_map(id).collect()
    }

    fn cluster(&self, service: &str) -> Option<String> {
        let names: &[&str] =
            if service == "eks" { &["clusterName", "name"] } else { &["clusterName", "cluster"] };
        names.iter().find_map(|name| self.parameter(name))
    }

    /// The name of a role's session, or the user's.
    fn actor(&self) -> Option<String> {
        let who = self.user_identity.as_ref()?;
        let session = who.arn.get().map(|arn| last(arn).to_owned());
        who.user_name.0.clone().or(session).or_else(|| who.invoked_by.0.clone())
    }

    fn tool(&self) -> Option<String> {
        let agent = self.user_agent.get()?.to_lowercase();
        TOOLS.iter().find(|tool| agent.contains(*tool)).map(|tool| (*tool).to_owned())
    }

    /// What a tool does in one session is one act. Keys that last are of many, and begin otherwise.
    fn act(&self, tool: Option<&str>) -> Option<String> {
        let key = self.user_identity.as_ref()?.access_key_id.get()?;
        let of_session = tool.is_some() && key.starts_with("ASIA");
        of_session.then(|| digest("cloudtrail:", &key))
    }
}

/// The last part of an ARN, an address or a path.
fn last(text: &str) -> &str {
    text.rsplit(['/', ':']).find(|part| !part.is_empty()).unwrap_or(text)
}

fn action(call: &str) -> Action {
    let does = |verbs: &[&str]| verbs.iter().any(|verb| call.starts_with(verb));
    VERBS.iter().find(|(_, verbs)| does(verbs)).map_or(Action::Update, |(action, _)| *action)
}

fn kind(service: &str, call: &str) -> Kind {
    if service == "ec2" && EC2_NETWORK.iter().any(|part| call.contains(part)) {
        return Kind::Network;
    }
    let known = KINDS.iter().find(|(_, services)| services.contains(&service));
    known.map_or(Kind::Infrastructure, |(kind, _)| *kind)
}

/// What a call is about: `ModifyDBInstance` is about a `DBInstance`. Some names end with a version.
fn thing(call: &str) -> &str {
    let call = call.split(|letter: char| letter.is_ascii_digit()).next().unwrap_or(call);
    let second = call.char_indices().skip(1).find(|(_, letter)| letter.is_ascii_uppercase());
    second.and_then(|(place, _)| call.get(place..)).unwrap_or(call)
}
