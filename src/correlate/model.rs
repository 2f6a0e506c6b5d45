//! What correlation knows besides the events: the whole configuration that answers depend on.

use chrono::TimeDelta;

use crate::{
    catalog::Catalog,
    event::{Mapping, Time, digest},
    rules::{Matchers, Onset, RuleSet, default_outage},
};

/// Everything that an answer depends on, besides the events and the time.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// How label names become scope.
    pub mapping: Mapping,
    /// What operators know.
    pub rules: RuleSet,
    /// What depends on what.
    pub catalog: Catalog,
    /// Times and limits.
    pub settings: Settings,
}

/// Times and limits of correlation.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How far before an incident its cause is looked for.
    pub look_back: TimeDelta,
    /// How far before an incident a change may have been made that lay dormant until its cause took it
    /// into use.
    pub dormant: TimeDelta,
    /// How far behind the newest event an event still changes answers.
    pub horizon: TimeDelta,
    /// How long an incident in which nothing fires may still grow.
    pub quiet: TimeDelta,
    /// From the first onset of an incident to its last.
    pub span: TimeDelta,
    /// How long before it fires a symptom may have begun, where nothing better is known.
    pub onset_lead: TimeDelta,
    /// Where the operator knows better than that and than the rule files; the first that matches counts.
    pub onsets: Vec<Onset>,
    /// Whether what followed the same change before counts, and what people say.
    pub learn: bool,
    /// Alerts that mean that users could not use the service: any of these.
    pub outage: Vec<Matchers>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            look_back: TimeDelta::hours(72),
            // Half of what is kept by default: a rebuild judges anew what the other half tells of.
            dormant: TimeDelta::days(45),
            horizon: TimeDelta::days(7),
            quiet: TimeDelta::hours(1),
            span: TimeDelta::hours(24),
            onset_lead: TimeDelta::minutes(15),
            onsets: Vec::new(),
            learn: true,
            outage: default_outage(),
        }
    }
}

impl Settings {
    /// From where on events are taken into account, when the newest is of this time: whole days, so
    /// that it moves once a day.
    pub fn window_from(&self, newest: Time) -> Time {
        super::time::day(newest - self.look_back - self.horizon)
    }

    /// From where on changes are taken into account that may lie dormant, when the newest event is of
    /// this time: up to the window.
    pub fn past_from(&self, newest: Time) -> Time {
        super::time::day(newest - self.dormant - self.horizon).min(self.window_from(newest))
    }

    /// Incidents that began before this are no longer assessed, when the newest event is of this
    /// time.
    pub fn frozen_before(&self, newest: Time) -> Time {
        super::time::day(newest - self.horizon)
    }

    /// From when on events are held, where those from `wanted` on are to be and the newest is of this
    /// time: whole days, and the window in any case.
    pub fn held_from(&self, newest: Time, wanted: Time) -> Time {
        super::time::day(wanted).min(self.window_from(newest))
    }

    /// From when on all that incidents were judged by is held, where events from `held_from` on are;
    /// none that is still assessed began before.
    pub fn judged_from(&self, newest: Time, held_from: Time) -> Time {
        let enough = held_from + self.look_back.max(self.dormant);
        let day = super::time::day(enough);
        let whole = if day < enough { day + TimeDelta::days(1) } else { day };
        whole.min(self.frozen_before(newest))
    }

    /// The same, where events are kept for so long: nothing is looked for that may be gone.
    #[must_use]
    pub fn within(self, retention: TimeDelta) -> Self {
        Self { dormant: self.dormant.min(retention - self.horizon), ..self }
    }

    /// The shortest time for which events can be kept: answers need those of the window.
    pub fn retention_min(&self) -> TimeDelta {
        self.look_back + self.horizon
    }
}

impl Model {
    /// What is known of onsets, the operator's word first.
    pub(super) fn onsets(&self) -> impl Iterator<Item = &Onset> {
        self.settings.onsets.iter().chain(&self.rules.onsets)
    }

    /// A hash of how labels become scope.
    pub fn mapping_hash(&self) -> String {
        digest("", &self.mapping)
    }

    /// A hash of all of it, which stands in every answer.
    pub fn hash(&self) -> String {
        let all =
            |matchers: &Matchers| matchers.0.iter().map(ToString::to_string).collect::<Vec<_>>();
        let rules = self.rules.rules.iter().map(|rule| {
            let sides = (all(&rule.change), all(&rule.alert), &rule.same);
            (&rule.name, sides, rule.window.num_milliseconds(), rule.strength, &rule.because)
        });
        let services = self
            .catalog
            .services()
            .iter()
            .map(|(name, service)| (name, &service.tier, &service.depends_on));
        let settings = &self.settings;
        let times = [
            settings.look_back,
            settings.dormant,
            settings.horizon,
            settings.quiet,
            settings.span,
            settings.onset_lead,
        ];
        let onsets = self.onsets().map(|onset| {
            (all(&onset.alert), onset.least.num_milliseconds(), onset.most.num_milliseconds())
        });
        digest(
            "",
            &(
                &self.mapping,
                rules.collect::<Vec<_>>(),
                services.collect::<Vec<_>>(),
                times.map(|time| time.num_milliseconds()),
                onsets.collect::<Vec<_>>(),
                settings.learn,
                settings.outage.iter().map(all).collect::<Vec<_>>(),
            ),
        )
    }
}
