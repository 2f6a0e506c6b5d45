//! Files of versions before, as those wrote them, are read on.

use serde_json::{Value, json};

use super::*;

/// Families of whose courses there is something to tell.
fn families() -> Vec<Kept> {
    let mut kept = folded(&[fires(0, 0), fires(1, 1), fires(3, 2)]);
    let times = |count: i64| (1..=count).map(|n| n * n).collect::<Vec<_>>();
    let part = json!([[[1, 2, 3], [4, 5, 6], [7, 8, 9]], [times(4), 17], [times(3), 1]]);
    kept[0].part = serde_json::from_value(part).unwrap();
    assert_ne!(kept[1].part, Part::default());
    kept
}

/// Makes of the newest version's file one of a version before.
fn make(dir: &TempDir, version: i64, families: &[Kept]) {
    let file = shell(dir.path(), "state.db");
    file.execute_batch(WITHOUT_ENDS).unwrap();
    for kept in families {
        let part = with_names(&serde_json::to_value(&kept.part).unwrap()).to_string();
        let sql = "UPDATE course SET part = ?1 WHERE key = ?2";
        assert_eq!(file.execute(sql, (part, kept.key.0)).unwrap(), 1);
    }
    if version < 6 {
        file.execute_batch(WITHOUT_SEGMENTS).unwrap();
    }
    if version < 5 {
        file.execute_batch(WITHOUT_COURSES).unwrap();
    }
    file.pragma_update(None, "user_version", version).unwrap();
}

/// A course as it was kept before the eighth version: with names, and times since 1970.
fn with_names(part: &Value) -> Value {
    let numbers = |list: &Value| -> Vec<i64> {
        list.as_array().unwrap().iter().map(|number| number.as_i64().unwrap()).collect()
    };
    let since_1970 = |distances: Vec<i64>| -> Vec<i64> {
        let add = |time: &mut i64, distance| {
            *time += distance;
            Some(*time)
        };
        distances.into_iter().scan(0, add).collect()
    };
    let ended: Vec<_> = part[0].as_array().unwrap().iter().map(numbers).collect();
    let bounds = since_1970(ended.iter().flat_map(|one| [one[0], one[1]]).collect());
    let ended = bounds.chunks(2).zip(&ended).map(|(time, one)| json!([time[0], time[1], one[2]]));
    let least = |one: &Value| json!([since_1970(numbers(&one[0])), one[1]]);
    json!({
        "ended": ended.collect::<Vec<_>>(), "firing": least(&part[1]), "expected": least(&part[2]),
    })
}

const WITHOUT_ENDS: &str = "DROP INDEX incident_end; DROP INDEX change_end; DROP INDEX family_end;";

const WITHOUT_SEGMENTS: &str = "DROP INDEX alert_family; ALTER TABLE alert DROP COLUMN segment; \
    DROP TABLE segment; ALTER TABLE seen DROP COLUMN oldest; \
    CREATE INDEX alert_family ON alert (family, starts_at, identity, first);";

const WITHOUT_COURSES: &str = "ALTER TABLE family ADD COLUMN episodes INTEGER; \
    ALTER TABLE family ADD COLUMN part TEXT; \
    UPDATE family SET (episodes, part) = (SELECT episodes, part FROM course \
    WHERE course.starts_at = family.starts_at AND course.key = family.key); DROP TABLE course;";

#[test]
fn courses_are_read_on_wherever_and_however_they_stood() {
    let kept = families();
    for version in [4, 5, 7] {
        let (dir, state) = stored(&StateBatch { families: kept.clone(), ..StateBatch::default() });
        drop(state);
        make(&dir, version, &kept);
        let state = SqliteState::open(dir.path()).unwrap();
        assert_eq!(state.kept_since(step(0)).unwrap(), as_written(kept.clone()), "{version}");
    }
}

#[test]
fn firings_from_before_there_were_segments_are_found_with_those_that_follow() {
    let fired = (0..9).map(|n| ((0, 2 * n), Some(1))).collect();
    let world = World::new(Vec::new(), Vec::new(), Alerts::new(&fired), |_| None, Vec::new());
    let (before, after) = world.batch.firings.split_at(5);
    let batch =
        |firings: &[FiringRow]| StateBatch { firings: firings.to_vec(), ..StateBatch::default() };
    let (dir, state) = stored(&batch(before));
    drop(state);
    make(&dir, 5, &[]);
    let state = SqliteState::open(dir.path()).unwrap();
    let firings = || {
        let all = (step(0), step(99));
        state.firings_of(world.batch.firings[0].family, None, all, 99).unwrap()
    };
    assert_eq!(firings(), before);
    tell(&state, &batch(after));
    assert_eq!(firings(), world.batch.firings);
}

#[test]
fn what_ended_before_ends_had_an_index_is_found_by_its_end() {
    let kept = folded(&[Event::Alert(alert(0, (0, Some(5)))), fires(1, 1)]);
    let (dir, state) = stored(&StateBatch { families: kept.clone(), ..StateBatch::default() });
    drop(state);
    make(&dir, 8, &[]);
    let state = SqliteState::open(dir.path()).unwrap();
    let page = Page { edges: true, ..first_page((Some(5), Some(5)), 9) };
    let ended = state.families(&page, &|_| true).unwrap().items;
    assert_eq!(ended, [Family::clone(&kept[0].family)]);
}
