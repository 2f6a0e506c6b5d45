//! The forms that have been here from the start: Alertmanager's two, and our own three.

use super::{Dialect, Source, Verbs};
use crate::wire::{alert, alertmanager, alertmanager_api, change, note, signature::Scheme};

/// What can carry a token of ours.
const TOKENS: &[Scheme] = &[Scheme::Bearer, Scheme::Basic];

/// Alertmanager's webhook.
pub(super) const ALERTMANAGER: Source = Source {
    name: "alertmanager",
    about: "Alertmanager's webhook",
    paths: &["/webhooks/alertmanager"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: TOKENS,
    headers: &[],
    id: "labels, start and end of each alert",
    taken: "each alert that fires or is resolved",
    left: "the group's own status, which follows from its alerts",
    convert: |post| alertmanager::normalise(post.body, post.received),
};

/// What Prometheus posts to an Alertmanager.
pub(super) const ALERTMANAGER_API: Source = Source {
    name: "alertmanager_api",
    about: "Prometheus, vmalert and whatever else posts to an Alertmanager",
    paths: &["/api/v2/alerts"],
    verbs: Verbs::Post,
    dialect: Dialect::Alertmanager,
    schemes: TOKENS,
    headers: &[],
    id: "labels, start and end of each alert",
    taken: "each alert; one that is not refreshed has expired",
    left: "nothing",
    convert: |post| alertmanager_api::normalise(post.body, post.received),
};

/// Changes in our own form.
pub(super) const CHANGES: Source = Source {
    name: "changes",
    about: "a change in antecede's own form: curl, scripts, pipelines",
    paths: &["/api/v1/changes"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: TOKENS,
    headers: &[],
    id: "`id`; without one, a hash of what the change is and when it began",
    taken: "each change",
    left: "nothing",
    convert: |post| change::normalise(post.body, post.received),
};

/// Alerts in our own form.
pub(super) const ALERTS: Source = Source {
    name: "alerts",
    about: "an alert in antecede's own form",
    paths: &["/api/v1/alerts"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: TOKENS,
    headers: &[],
    id: "labels, start and end of each alert",
    taken: "each alert",
    left: "nothing",
    convert: |post| alert::normalise(post.body, post.received),
};

/// Notes.
pub(super) const NOTES: Source = Source {
    name: "notes",
    about: "a note in antecede's own form",
    paths: &["/api/v1/notes"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: TOKENS,
    headers: &[],
    id: "a hash of what it says",
    taken: "each note",
    left: "nothing",
    convert: |post| note::normalise(post.body, post.received),
};
