//! What has to happen next, so that a module becomes what it should be: a pure function.
//!
//! The steps are in the order in which they are to be done. Steps that only move pointers come
//! first. After each step the plan is made again, because the world has changed.

use std::collections::BTreeMap;

use crate::desired::{Canary, Desired, Id};

/// How far a version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It could serve.
    Warm,
    /// It cannot serve, and is not to be tried now.
    Failed,
}

/// What a module is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actual {
    /// Versions that are known. Any other has yet to be prepared.
    pub versions: BTreeMap<Id, Condition>,
    /// The version that serves.
    pub stable: Option<Id>,
    /// The version that serves a share of the calls.
    pub canary: Option<Canary>,
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Switch: these versions serve from now on. All of them are warm.
    Serve {
        /// The version that serves.
        stable: Option<Id>,
        /// The version that serves a share of the calls.
        canary: Option<Canary>,
    },
    /// End a version that serves no call.
    Retire(Id),
    /// Read, compile and start a version.
    Prepare(Id),
}

impl Actual {
    fn is_warm(&self, id: Id) -> bool {
        self.versions.get(&id) == Some(&Condition::Warm)
    }

    fn warm(&self, id: Option<Id>) -> Option<Id> {
        id.filter(|id| self.is_warm(*id))
    }
}

/// Returns the steps from what a module is to what it should be; none if it is so already.
#[must_use]
pub fn plan(desired: &Desired, actual: &Actual) -> Vec<Step> {
    let (stable, canary) = serving(desired, actual);
    let mut steps = Vec::new();
    if (stable, canary) != (actual.stable, actual.canary) {
        steps.push(Step::Serve { stable, canary });
    }

    let wished = if desired.stopped { [None; 3] } else { [desired.serve, desired.before, desired.good] };
    let canary_id = desired.canary.filter(|_| !desired.stopped).map(|canary| canary.id);
    // The last good version is kept only until its successor serves.
    let is_good_enough = stable.is_some() && stable == desired.serve;
    let kept = |id: Id| {
        let [serve, before, good] = wished;
        [stable, serve, before, canary_id, desired.prepare].contains(&Some(id))
            || (!is_good_enough && good == Some(id))
    };
    let warm = actual.versions.iter().filter(|(_, condition)| **condition == Condition::Warm);
    steps.extend(warm.filter(|(id, _)| !kept(**id)).map(|(id, _)| Step::Retire(*id)));

    let [serve, _, good] = wished;
    // Where nothing serves, the version that is known to work comes first.
    let rescue = good.filter(|_| stable.is_none());
    let mut prepared = Vec::new();
    for id in [rescue, desired.prepare, serve, canary_id].into_iter().flatten() {
        if !actual.versions.contains_key(&id) && !prepared.contains(&id) {
            prepared.push(id);
        }
    }
    steps.extend(prepared.into_iter().map(Step::Prepare));
    steps
}

/// Returns which versions should serve at this moment: only warm ones, and one whenever there is
/// one.
fn serving(desired: &Desired, actual: &Actual) -> (Option<Id>, Option<Canary>) {
    if desired.stopped || desired.serve.is_none() {
        return (None, None);
    }
    let stable = actual
        .warm(desired.serve)
        .or_else(|| actual.warm(actual.stable))
        .or_else(|| actual.warm(desired.good))
        .or_else(|| actual.warm(desired.before));
    let takes =
        |canary: &Canary| stable.is_some_and(|stable| stable != canary.id) && actual.is_warm(canary.id);
    (stable, desired.canary.filter(takes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::Digest;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    /// How many versions there are in the model.
    const VERSIONS: u64 = 6;

    fn id(number: u64) -> Id {
        Id { digest: Digest::of(&[]), settings: number }
    }

    fn some_id() -> impl Strategy<Value = Id> {
        (0..VERSIONS).prop_map(id)
    }

    fn some_desired() -> impl Strategy<Value = Desired> {
        let canary = (some_id(), 1..100_u8).prop_map(|(id, share)| Canary { id, share });
        let ids = || option::of(some_id());
        (ids(), option::weighted(0.3, canary), ids(), ids(), ids(), prop::bool::weighted(0.1)).prop_map(
            |(serve, canary, good, before, prepare, stopped)| Desired {
                serve,
                canary,
                good,
                before,
                prepare,
                stopped,
            },
        )
    }

    /// What happens to a module in the model.
    #[derive(Clone, Debug)]
    enum Happens {
        Wish(Box<Desired>),
        /// A version breaks while it is warm.
        Breaks(Id),
        /// A version that failed may be tried again.
        MayRetry(Id),
        Step,
    }

    fn happenings() -> impl Strategy<Value = Vec<Happens>> {
        let one = prop_oneof![
            2 => some_desired().prop_map(Box::new).prop_map(Happens::Wish),
            1 => some_id().prop_map(Happens::Breaks),
            1 => some_id().prop_map(Happens::MayRetry),
            6 => Just(Happens::Step),
        ];
        vec(one, 0..60)
    }

    /// Does a step as the world would; `bad` are versions that cannot be prepared.
    fn do_step(actual: &mut Actual, step: Step, bad: &[Id]) {
        match step {
            Step::Serve { stable, canary } => {
                let served = stable.into_iter().chain(canary.map(|canary| canary.id));
                served.for_each(|id| assert!(actual.is_warm(id), "{id:?} is switched to, and not warm"));
                (actual.stable, actual.canary) = (stable, canary);
            }
            Step::Retire(id) => {
                assert_ne!(actual.stable, Some(id), "the version that serves is retired");
                assert_ne!(actual.canary.map(|canary| canary.id), Some(id), "the canary is retired");
                assert_eq!(actual.versions.remove(&id), Some(Condition::Warm));
            }
            Step::Prepare(id) => {
                let condition = if bad.contains(&id) { Condition::Failed } else { Condition::Warm };
                assert_eq!(actual.versions.insert(id, condition), None, "prepared twice");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn whatever_happens_a_module_becomes_what_it_should_be_and_serves_meanwhile(
            happenings in happenings(),
            bad in vec(some_id(), 0..4),
        ) {
            let (mut desired, mut actual) = (Desired::default(), Actual::default());
            for happens in happenings {
                match happens {
                    Happens::Wish(wish) => desired = *wish,
                    Happens::Breaks(id) => {
                        if let Some(condition) = actual.versions.get_mut(&id) {
                            *condition = Condition::Failed;
                        }
                    }
                    Happens::MayRetry(id) => {
                        if actual.versions.get(&id) == Some(&Condition::Failed) {
                            actual.versions.remove(&id);
                        }
                    }
                    Happens::Step => {
                        let served = actual.warm(actual.stable);
                        if let Some(step) = plan(&desired, &actual).first() {
                            do_step(&mut actual, *step, &bad);
                        }
                        // No step takes the service away from a module that is to have one.
                        if served.is_some() && desired.serve.is_some() && !desired.stopped {
                            prop_assert!(actual.warm(actual.stable).is_some());
                        }
                    }
                }
            }
            // Left alone, it comes to rest.
            let mut steps = 0;
            while let Some(step) = plan(&desired, &actual).first() {
                do_step(&mut actual, *step, &bad);
                steps += 1;
                prop_assert!(steps < 50, "the steps never end");
            }
            let Desired { serve, canary, good, .. } = desired;
            if desired.stopped || serve.is_none() {
                prop_assert_eq!((actual.stable, actual.canary), (None, None));
            } else if actual.warm(serve).is_some() {
                prop_assert_eq!(actual.stable, serve);
            } else if actual.warm(good).is_some() {
                prop_assert!(actual.stable.is_some(), "the last good version does not serve");
            }
            if let Some(canary) = canary && actual.stable.is_some() && actual.stable != Some(canary.id) {
                prop_assert_eq!(actual.canary.is_some(), actual.is_warm(canary.id));
            }
            // Nothing that is wished for is left out, and nothing is kept that is not.
            for id in [serve.filter(|_| !desired.stopped), desired.prepare].into_iter().flatten() {
                prop_assert!(actual.versions.contains_key(&id));
            }
            let warm = actual.versions.values().filter(|condition| **condition == Condition::Warm).count();
            prop_assert!(warm <= 5, "{warm} versions are kept");
        }
    }

    #[test]
    fn a_bad_version_never_takes_over_and_the_good_one_is_made_ready_first_after_a_restart() {
        let [bad, good] = [id(0), id(1)];
        let desired = Desired { serve: Some(bad), good: Some(good), ..Desired::default() };
        let mut actual = Actual::default();
        assert_eq!(plan(&desired, &actual), [Step::Prepare(good), Step::Prepare(bad)]);
        actual.versions.insert(good, Condition::Warm);
        let serve = Step::Serve { stable: Some(good), canary: None };
        assert_eq!(plan(&desired, &actual), [serve, Step::Prepare(bad)]);
        actual.stable = Some(good);
        actual.versions.insert(bad, Condition::Failed);
        assert_eq!(plan(&desired, &actual), []);
    }

    #[test]
    fn what_was_overtaken_is_not_prepared() {
        let desired = Desired { serve: Some(id(2)), ..Desired::default() };
        let versions = [(id(0), Condition::Warm)].into();
        let actual = Actual { versions, stable: Some(id(0)), canary: None };
        assert_eq!(plan(&desired, &actual), [Step::Prepare(id(2))]);
    }
}
