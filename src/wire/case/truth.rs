//! What a case file knows only from afterwards. A backtest judges answers by it; nothing that gives
//! answers may read it.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::{
    event::{Time, parse_time},
    wire::{Refused, Values, whole},
};

/// What turned out to be true of a recorded incident, in the ids of its file.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// A change caused it.
    pub by_change: bool,
    /// The changes that caused it.
    pub causes: BTreeSet<String>,
    /// Changes without which it would not have come so far: above all the trigger of one that lay
    /// dormant.
    pub contributing: BTreeSet<String>,
    /// What sort of change the first cause was: its kind, as the file says it.
    pub kind: String,
    /// When each cause began.
    pub caused_at: Vec<Time>,
    /// Every alert, by start.
    pub alerts: Vec<KnownAlert>,
}

/// An alert of which it is known whether it was of the incident.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KnownAlert {
    /// Its id in the file.
    pub id: String,
    /// Its name.
    pub alertname: String,
    /// Who showed it.
    pub services: Vec<String>,
    /// When it fired.
    pub starts_at: Time,
    /// It is of the incident, and not of the background that a case may be hidden in.
    pub own: bool,
}

#[derive(Deserialize)]
struct RawTruth {
    #[serde(default)]
    class: String,
    #[serde(default)]
    truth: RawCauses,
    #[serde(default)]
    events: Vec<RawEvent>,
}

#[derive(Default, Deserialize)]
struct RawCauses {
    #[serde(default)]
    causes: BTreeSet<String>,
    #[serde(default)]
    contributing: BTreeSet<String>,
}

#[derive(Deserialize)]
struct RawEvent {
    #[serde(rename = "type")]
    type_name: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    evidence: String,
    #[serde(default)]
    alertname: String,
    service: Option<Values>,
    started_at: Option<String>,
    starts_at: Option<String>,
}

impl Truth {
    /// Reads what the file says of the truth.
    ///
    /// # Errors
    /// It is no case, it names a cause that is not among its changes, or it has no alert of its own.
    pub fn parse(text: &[u8]) -> Result<Self, Refused> {
        let raw: RawTruth = whole(text)?;
        let moment = |text: &Option<String>| parse_time(text.as_deref()?).ok();
        let alerts = raw.events.iter().filter(|one| one.type_name == "alert");
        let known = alerts.filter_map(|one| {
            Some(KnownAlert {
                id: one.id.clone(),
                alertname: one.alertname.clone(),
                services: one.service.clone().map(Values::into_all).unwrap_or_default(),
                starts_at: moment(&one.starts_at)?,
                own: one.evidence != "background",
            })
        });
        let mut alerts: Vec<_> = known.collect();
        alerts.sort_by_key(|one| one.starts_at);
        if !alerts.iter().any(|one| one.own) {
            return Err(Refused::new("events", "holds no alert of the incident's own"));
        }
        let RawCauses { causes, contributing } = raw.truth;
        let guilty = |one: &&RawEvent| one.type_name == "change" && causes.contains(&one.id);
        let guilty: Vec<_> = raw.events.iter().filter(guilty).collect();
        if let Some(missing) = causes.iter().find(|id| !guilty.iter().any(|one| one.id == **id)) {
            let reason = format!("names {missing:?}, which is none of the changes");
            return Err(Refused::new("truth.causes", reason));
        }
        let caused_at = guilty.iter().filter_map(|one| moment(&one.started_at)).collect();
        let kind = guilty.first().map_or_else(String::new, |one| one.kind.clone());
        let by_change = raw.class == "change" || raw.class.is_empty() && !causes.is_empty();
        Ok(Self { by_change, causes, contributing, kind, caused_at, alerts })
    }

    /// Its own alerts, by start.
    pub fn own_alerts(&self) -> impl Iterator<Item = &KnownAlert> {
        self.alerts.iter().filter(|alert| alert.own)
    }

    /// When the first of its own alerts fired.
    pub fn first_alert(&self) -> Time {
        self.own_alerts().next().map(|alert| alert.starts_at).unwrap_or_default()
    }
}
