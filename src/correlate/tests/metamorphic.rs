//! What must stay as it is when a world is altered in a way that an engineer would call beside the
//! point, and what must follow when the alteration is the point. Each law holds between two worlds,
//! so no constant of the model stands here.

use std::sync::LazyLock;

use proptest::sample::{Index, select, subsequence};

use super::*;
use crate::rules::RuleSet;

/// No service's name says anything of another's, and none stands in a title.
const NAMES: [&str; 6] = ["amber", "birch", "cedar", "dune", "ember", "fjord"];
const OTHER_NAMES: [&str; 6] = ["quartz", "umber", "slate", "violet", "tulip", "raven"];
const ENVIRONMENTS: [&str; 2] = ["production", "staging"];
const ALERTS: [&str; 4] = ["Down", "Errors5xx", "KubeNodeNotReady", "Saturated"];

const SECOND: i64 = 1;
const MINUTE: i64 = 60 * SECOND;

/// Services that stand on each other, what was changed, and what fired. Times are seconds.
#[derive(Clone, Debug)]
struct World {
    names: Vec<&'static str>,
    /// For each service the others that it stands on, and whether many stand on it.
    services: Vec<(BTreeSet<usize>, bool)>,
    acts: Vec<Act>,
    alarms: Vec<Alarm>,
}

#[derive(Clone, Debug)]
struct Act {
    id: String,
    kind: Kind,
    action: Action,
    service: usize,
    environments: Vec<&'static str>,
    change_set: Option<String>,
    revision: Option<String>,
    title: String,
    start: i64,
    lasts: i64,
}

#[derive(Clone, Debug)]
struct Alarm {
    name: &'static str,
    service: usize,
    environment: &'static str,
    pod: usize,
    start: i64,
    lasts: Option<i64>,
}

/// So many seconds into the world.
fn second(second: i64) -> Time {
    at(0) + TimeDelta::seconds(second)
}

impl World {
    fn model(&self, rules: RuleSet) -> Model {
        let name = |place: usize| self.names[place].to_owned();
        let services = self.services.iter().enumerate().map(|(place, (used, substrate))| {
            let tier = if *substrate { "infrastructure" } else { "service" };
            let depends_on = used.iter().copied().map(name).collect();
            (name(place), Service { tier: Some(tier.to_owned()), depends_on })
        });
        Model { catalog: Catalog::new(services.collect()), rules, ..Model::default() }
    }

    fn events(&self) -> Vec<Event> {
        let acts = self.acts.iter().flat_map(|act| self.change(act));
        acts.chain(self.alarms.iter().flat_map(|alarm| self.alert(alarm))).collect()
    }

    fn change(&self, act: &Act) -> Vec<Event> {
        let id = ChangeId(act.id.clone());
        let report = ChangeReport::new(id, Status::Succeeded, second(act.start + act.lasts));
        let mut place: Labels = act.environments.iter().map(|one| ("environment", *one)).collect();
        place.insert("service", self.names[act.service]);
        let report = ChangeReport {
            started_at: Some(second(act.start)),
            kind: Some(act.kind),
            action: Some(act.action),
            title: Some(act.title.clone()),
            labels: place,
            change_set: act.change_set.clone(),
            revision: act.revision.clone(),
            ..report
        };
        report.facts().into_iter().map(Event::Change).collect()
    }

    fn alert(&self, alarm: &Alarm) -> Vec<Event> {
        let place = labels(&[
            ("alertname", alarm.name),
            ("service", self.names[alarm.service]),
            ("environment", alarm.environment),
            ("pod", &format!("pod-{}", alarm.pod)),
        ]);
        let mut events = fired_with(place, 0, alarm.lasts.map(|_| 0));
        for event in &mut events {
            if let Event::Alert(report) = event {
                report.starts_at = second(alarm.start);
                report.ends_at =
                    report.ends_at.and(alarm.lasts).map(|lasts| second(alarm.start + lasts));
            }
        }
        events
    }

    /// When the first thing happens.
    fn begins_at(&self) -> i64 {
        let acts = self.acts.iter().map(|act| act.start);
        acts.chain(self.alarms.iter().map(|alarm| alarm.start)).min().unwrap_or_default()
    }

    /// All incidents at the end of the world.
    fn assess(&self) -> Vec<Incident> {
        self.assess_by(shipped())
    }

    fn assess_by(&self, rules: RuleSet) -> Vec<Incident> {
        assess(&self.model(rules), self.events(), end()).incidents
    }

    fn verdicts(&self, rules: RuleSet) -> Vec<Verdict> {
        self.assess_by(rules).iter().map(|one| self.verdict(one, at(0))).collect()
    }

    /// What is said of an incident, in a world that began then.
    fn verdict(&self, incident: &Incident, origin: Time) -> Verdict {
        let place = |name: &String| self.names.iter().position(|one| one == name);
        let places = |names: &[String]| names.iter().map(place).collect::<Vec<_>>();
        let symptoms = incident.families.iter();
        let impact = incident.impact.iter();
        Verdict {
            began: incident.started_at - origin,
            state: incident.state,
            answer: incident.answer,
            alerts: incident.alert_count,
            symptoms: symptoms
                .map(|one| (one.alertname.clone(), places(&one.services), one.environments.clone()))
                .collect(),
            none: incident.none_probability,
            suspects: incident
                .suspects
                .iter()
                .map(|one| {
                    let terms = one.evidence.iter().map(|term| (term.kind, term.nats));
                    (one.changes.clone(), one.probability, terms.collect())
                })
                .collect(),
            cleared: incident
                .cleared
                .iter()
                .map(|one| (one.changes.clone(), one.probability))
                .collect(),
            responses: incident.responses.clone(),
            impact: impact
                .map(|one| {
                    let seconds = (one.outage_seconds, one.degraded_seconds);
                    ((place(&one.service), one.environment.clone()), seconds)
                })
                .collect(),
        }
    }
}

/// The rules that the program comes with, read once for all worlds.
pub(super) fn shipped() -> RuleSet {
    static SHIPPED: LazyLock<RuleSet> = LazyLock::new(RuleSet::embedded);
    SHIPPED.clone()
}

/// After all that is in any world.
fn end() -> Time {
    at(2_300)
}

/// What each term of a suspect's log-odds adds.
type Terms = Vec<(Term, f64)>;

/// All that is said of an incident but its id, its words and the names of services, which stand by
/// their places.
#[derive(Debug, PartialEq)]
struct Verdict {
    began: TimeDelta,
    state: State,
    answer: Answer,
    alerts: usize,
    symptoms: Vec<(String, Vec<Option<usize>>, Vec<String>)>,
    none: f64,
    suspects: Vec<(Vec<ChangeId>, f64, Terms)>,
    cleared: Vec<(Vec<ChangeId>, f64)>,
    responses: Vec<ChangeId>,
    impact: BTreeMap<(Option<usize>, String), (i64, i64)>,
}

fn holds(changes: &[ChangeId], id: &str) -> bool {
    changes.iter().any(|change| change.0 == id)
}

/// How probable it is that the change set of this change caused the incident, where that is told.
fn probability(incident: &Incident, id: &str) -> Option<f64> {
    let suspects = incident.suspects.iter().map(|one| (&one.changes, one.probability));
    let cleared = incident.cleared.iter().map(|one| (&one.changes, one.probability));
    let mut told = suspects.chain(cleared);
    told.find_map(|(changes, probability)| holds(changes, id).then_some(probability))
}

fn is_suspect(incident: &Incident, id: &str) -> bool {
    incident.suspects.iter().any(|one| holds(&one.changes, id))
}

/// Suspects that stand apart, in nats.
const APART: f64 = 0.05;

/// Each pair of suspects of which the first stands before the second, and clearly.
fn apart(incident: &Incident) -> Vec<(&ChangeId, &ChangeId)> {
    let suspects = &incident.suspects;
    let behind = |ahead: usize| suspects.iter().skip(ahead + 1);
    let pairs = suspects
        .iter()
        .enumerate()
        .flat_map(|(place, ahead)| behind(place).map(move |behind| (ahead, behind)));
    let apart = pairs.filter(|(ahead, behind)| ahead.log_odds - behind.log_odds > APART);
    apart.map(|(ahead, behind)| (&ahead.change, &behind.change)).collect()
}

prop_compose! {
    fn acts(services: std::ops::Range<usize>, minutes: i64)(
        kind in select(Kind::ALL),
        action in select(Action::ALL),
        service in services,
        environment in select(&ENVIRONMENTS[..]),
        start in 0..minutes,
        lasts in 0..90_i64,
    ) -> Act {
        Act {
            id: String::new(),
            kind,
            action,
            service,
            environments: vec![environment],
            change_set: None,
            revision: None,
            title: String::new(),
            start: start * MINUTE,
            lasts: lasts * MINUTE,
        }
    }
}

prop_compose! {
    fn alarms(services: std::ops::Range<usize>, minutes: std::ops::Range<i64>)(
        name in select(&ALERTS[..]),
        service in services,
        environment in select(&ENVIRONMENTS[..]),
        pod in 0..4_usize,
        start in minutes,
        lasts in proptest::option::of(1..120_i64),
    ) -> Alarm {
        let lasts = lasts.map(|lasts| lasts * MINUTE);
        Alarm { name, service, environment, pod, start: start * MINUTE, lasts }
    }
}

/// Names the acts, and has no two things begin in the same second: of those that do the order is
/// that of names and ids, and may decide who is the first of a story.
fn told_apart(mut world: World) -> World {
    for (n, act) in world.acts.iter_mut().enumerate() {
        act.id = format!("c{n}");
        act.title = format!("#{n}");
        act.start += SECOND * i64::try_from(n).unwrap();
    }
    for (n, alarm) in world.alarms.iter_mut().enumerate() {
        alarm.start += SECOND * i64::try_from(30 + n).unwrap();
    }
    world
}

prop_compose! {
    /// Anything that can happen in a day and a half.
    fn worlds()(
        stands_on in vec((0..64_u32, any::<bool>()), NAMES.len()),
        acts in vec(acts(0..NAMES.len(), 2_000), 0..10),
        alarms in vec(alarms(0..NAMES.len(), 0..2_000), 1..24),
    ) -> World {
        let services = stands_on.into_iter().enumerate().map(|(user, (used, substrate))| {
            // Only later ones, so that nothing stands on itself, and not most of them.
            let used = (user + 1..NAMES.len()).filter(|place| used >> place & 1 == 1).take(2);
            (used.collect(), substrate)
        });
        told_apart(World { names: NAMES.to_vec(), services: services.collect(), acts, alarms })
    }
}

/// One change that made services sick, by name and place in the world.
const CAUSE: &str = "cause";
/// Of the services the first so many stand on each other, each on the next; the others are alone.
const RELATED: usize = 3;
/// When the cause began.
const BEGAN: i64 = 600 * MINUTE;

impl World {
    fn cause(&self) -> usize {
        self.acts.iter().position(|act| act.id == CAUSE).unwrap()
    }

    /// The same with other changes in the place of the cause.
    fn with_causes(&self, causes: Vec<Act>) -> Self {
        let mut world = self.clone();
        world.acts.splice(self.cause()..=self.cause(), causes);
        world
    }

    /// The incident of the symptom that showed first.
    fn first_incident(&self) -> Incident {
        let first = self.alarms.iter().map(|alarm| alarm.start).min().unwrap();
        let incidents = self.assess().into_iter();
        let mut first = incidents.filter(|incident| incident.started_at == second(first));
        first.next().expect("an incident begins with it")
    }
}

prop_compose! {
    /// A deploy or the like that breaks its service and perhaps what stands on it, within half an
    /// hour, among changes of services that have nothing to do with it.
    fn scenes()(
        kind in select(&[Kind::Deploy, Kind::Config, Kind::Infrastructure, Kind::Database][..]),
        action in select(&[Action::Update, Action::Replace, Action::Delete][..]),
        service in 0..RELATED,
        lasts in 0..20_i64,
    )(
        cause in Just((kind, action, service, lasts)),
        background in vec(acts(RELATED..NAMES.len(), 700), 0..5),
        first in alarms(service..service + 1, 602..630),
        others in vec(alarms(0..service + 1, 602..630), 0..4),
    ) -> World {
        let (kind, action, service, lasts) = cause;
        let services = (0..NAMES.len()).map(|place| {
            let used = (place + 1 < RELATED).then_some(place + 1);
            (used.into_iter().collect(), place + 1 == RELATED)
        });
        let alarms = std::iter::once(first).chain(others).map(|alarm| Alarm {
            environment: "production",
            // Every one fires on when the last of them begins.
            lasts: alarm.lasts.map(|lasts| lasts + 60 * MINUTE),
            ..alarm
        });
        let mut world = told_apart(World {
            names: NAMES.to_vec(),
            services: services.collect(),
            acts: background,
            alarms: alarms.collect(),
        });
        world.acts.push(Act {
            id: CAUSE.to_owned(),
            kind,
            action,
            service,
            environments: vec!["production"],
            change_set: None,
            revision: None,
            title: "#cause".to_owned(),
            start: BEGAN,
            lasts: lasts * MINUTE,
        });
        world
    }
}

/// The event as much later.
fn later(event: Event, by: TimeDelta) -> Event {
    match event {
        Event::Change(report) => Event::Change(ChangeReport {
            at: report.at + by,
            started_at: report.started_at.map(|time| time + by),
            ..report
        }),
        Event::Alert(mut report) => {
            report.starts_at += by;
            let times = [&mut report.ends_at, &mut report.expires_at, &mut report.pending_at];
            times.into_iter().flatten().for_each(|time| *time += by);
            Event::Alert(report)
        }
        said @ (Event::Note(_) | Event::Feedback(_)) => said,
    }
}

/// One rollout in so many steps, one after the other.
fn steps(whole: &Act, n: i64) -> Vec<Act> {
    let step = |step: i64| Act {
        id: format!("step-{step}"),
        title: format!("{} ({step})", whole.title),
        start: whole.start + whole.lasts * step / n,
        lasts: whole.lasts / n,
        ..whole.clone()
    };
    (0..n).map(step).collect()
}

/// That both put the incident first to the cause, or to what stands in its place, about as surely.
fn is_as_sure(one: &Incident, other: &Incident, ids: (&str, &str)) -> Result<(), TestCaseError> {
    let (before, after) = (probability(one, ids.0), probability(other, ids.1));
    let apart = before.zip(after).map(|(before, after)| (before - after).abs());
    prop_assert!(apart.is_some_and(|apart| apart <= 0.15), "{one:#?}\n{other:#?}");
    let first = |incident: &Incident, id: &str| {
        incident.suspects.first().is_some_and(|suspect| holds(&suspect.changes, id))
    };
    prop_assert_eq!(first(one, ids.0), first(other, ids.1), "{:#?}\n{:#?}", one, other);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whole_weeks_later_every_verdict_is_the_same(world in worlds(), weeks in 1..4_i64) {
        let by = TimeDelta::weeks(weeks);
        let model = world.model(shipped());
        let events = world.events().into_iter().map(|event| later(event, by));
        let shifted = assess(&model, events, end() + by).incidents;
        let shifted: Vec<_> =
            shifted.iter().map(|one| world.verdict(one, at(0) + by)).collect();
        prop_assert_eq!(world.verdicts(shipped()), shifted);
    }

    #[test]
    fn a_name_by_itself_says_nothing(world in worlds(), names in Just(OTHER_NAMES.to_vec()).prop_shuffle()) {
        let renamed = World { names, ..world.clone() };
        prop_assert_eq!(world.verdicts(RuleSet::default()), renamed.verdicts(RuleSet::default()));
    }

    #[test]
    fn shuffled_and_repeated_it_is_the_very_same(
        (world, events) in worlds().prop_flat_map(|world| {
            let events = world.events();
            let twice = subsequence(events.clone(), 0..=events.len());
            let all = twice.prop_map(move |twice| [events.clone(), twice].concat());
            (Just(world), all.prop_shuffle())
        }),
    ) {
        let model = world.model(shipped());
        prop_assert_eq!(assess(&model, world.events(), end()), assess(&model, events, end()));
    }

    /// The stranger itself may come to stand among those of whom little is suspected: what one
    /// symptom's place says is bounded, and the bound is the same for all who are far from it. So a
    /// change that barely held two stories together may hold them no longer, and those that have
    /// other symptoms for it are not compared. What it takes of the probability of a cause moves what
    /// that says of the story beside it by thousandths of a nat: who stood apart by less may swap.
    #[test]
    fn a_change_of_a_stranger_elsewhere_leaves_the_order_of_the_others(world in worlds(), stranger in acts(0..1, 2_000)) {
        let mut with = world.clone();
        with.names.push("glade");
        with.acts.push(Act {
            id: "stranger".to_owned(),
            title: "#stranger".to_owned(),
            service: NAMES.len(),
            environments: vec!["laboratory"],
            // Not before all else: base rates would be known from a longer time.
            start: world.begins_at().max(stranger.start) + 20 * SECOND,
            ..stranger
        });
        let (before, after) = (world.assess(), with.assess());
        for before in &before {
            let is_it = |after: &&Incident| {
                (&after.id, after.alert_count) == (&before.id, before.alert_count)
            };
            let Some(after) = after.iter().find(is_it) else { continue };
            let first = after.suspects.first().map(|first| first.change.0.as_str());
            prop_assert!(after.answer != Answer::Likely || first != Some("stranger"), "{after:#?}");
            for (ahead, behind) in apart(before) {
                let turned = apart(after).contains(&(behind, ahead));
                prop_assert!(!turned, "{} and {}: {:#?}\n{:#?}", ahead, behind, before, after);
            }
        }
    }

    #[test]
    fn what_began_after_every_symptom_is_no_suspect(scene in scenes(), minutes in 2..90_i64) {
        let onset = scene.alarms.iter().map(|alarm| alarm.start).max().unwrap();
        let mut late = scene.clone();
        late.acts[scene.cause()].start = onset + minutes * MINUTE;
        for incident in late.assess() {
            prop_assert!(!is_suspect(&incident, CAUSE), "{incident:#?}");
        }
    }

    #[test]
    fn a_rollout_is_one_act_whole_or_in_steps(scene in scenes(), n in 2..5_i64, by_set in any::<bool>()) {
        let mut whole = scene.acts[scene.cause()].clone();
        *if by_set { &mut whole.change_set } else { &mut whole.revision } = Some("4f2a".to_owned());
        let stepped = scene.with_causes(steps(&whole, n));
        is_as_sure(&scene.first_incident(), &stepped.first_incident(), (CAUSE, "step-0"))?;
    }

    #[test]
    fn one_change_of_two_environments_is_as_one_of_each(scene in scenes()) {
        let cause = &scene.acts[scene.cause()];
        let of = |id: &str, environments: &[&'static str]| Act {
            id: id.to_owned(),
            environments: environments.to_vec(),
            ..cause.clone()
        };
        let one = scene.with_causes(vec![of("both", &ENVIRONMENTS)]);
        let two = scene.with_causes(ENVIRONMENTS.map(|each| of(each, &[each])).to_vec());
        is_as_sure(&one.first_incident(), &two.first_incident(), ("both", "production"))?;
    }

    #[test]
    fn thirty_pods_say_what_one_says(mut world in worlds(), which in any::<Index>()) {
        let alarm = which.index(world.alarms.len());
        // A pod of its own, so that no other firing of it tells when this one ended.
        world.alarms[alarm].pod = 99;
        let alarm = world.alarms[alarm].clone();
        let mut many = world.clone();
        many.alarms.extend((0..29).map(|pod| Alarm {
            pod: 100 + pod,
            // Within its time, so that it lasts as long.
            start: alarm.start + alarm.lasts.map_or(MINUTE, |lasts| lasts.min(MINUTE)) / 2,
            lasts: alarm.lasts.map(|lasts| lasts / 2),
            ..alarm.clone()
        }));
        let (one, thirty) = (world.assess(), many.assess());
        prop_assert_eq!(one.len(), thirty.len());
        for (one, thirty) in one.iter().zip(&thirty) {
            prop_assert_eq!(one.families.len(), thirty.families.len());
            for suspect in &one.suspects {
                let now = probability(thirty, &suspect.change.0).unwrap_or_default();
                prop_assert!((now - suspect.probability).abs() <= 0.05, "{one:#?}\n{thirty:#?}");
            }
        }
    }

    #[test]
    fn without_the_cause_nobody_is_likely_in_its_place(scene in scenes()) {
        for incident in scene.with_causes(Vec::new()).assess() {
            prop_assert_ne!(incident.answer, Answer::Likely, "{:#?}", incident);
        }
    }
}
