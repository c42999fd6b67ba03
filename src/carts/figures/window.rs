//! Times, and how many of them are after an edge that moves with the clock.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included};

/// Times, each as often as it was put in, and how many are after the edge.
#[derive(Debug)]
pub struct Window {
    times: BTreeMap<i64, i64>,
    edge: i64,
    after: i64,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            times: BTreeMap::new(),
            edge: i64::MIN,
            after: 0,
        }
    }
}

impl Window {
    /// Puts a time in.
    pub fn insert(&mut self, time: i64) {
        *self.times.entry(time).or_default() += 1;
        self.after += i64::from(time > self.edge);
    }

    /// Takes out a time that was put in.
    pub fn remove(&mut self, time: i64) {
        let Some(count) = self.times.get_mut(&time) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.times.remove(&time);
        }
        self.after -= i64::from(time > self.edge);
    }

    /// Moves the edge, also back, and counts the times after it. Costs as much as there is between the
    /// edge as it was and as it is.
    pub fn after(&mut self, edge: i64) -> i64 {
        let (low, high) = (self.edge.min(edge), self.edge.max(edge));
        let passed = if low < high {
            let between = self.times.range((Excluded(low), Included(high)));
            between.map(|(_, count)| count).sum()
        } else {
            0
        };
        self.after += if edge > self.edge { -passed } else { passed };
        self.edge = edge;
        self.after
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(i64),
        Remove(usize),
        Edge(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_i64..20).prop_map(Step::Insert),
            any::<usize>().prop_map(Step::Remove),
            (-2_i64..22).prop_map(Step::Edge),
        ]
    }

    proptest! {
        #[test]
        fn it_counts_what_a_look_at_all_times_counts(
            steps in prop::collection::vec(step(), 0..100),
        ) {
            let mut window = Window::default();
            let mut times: Vec<i64> = Vec::new();
            let mut edge = i64::MIN;
            for step in steps {
                match step {
                    Step::Insert(time) => {
                        window.insert(time);
                        times.push(time);
                    }
                    Step::Remove(_) if times.is_empty() => {}
                    Step::Remove(place) => {
                        window.remove(times.swap_remove(place % times.len()));
                    }
                    Step::Edge(to) => edge = to,
                }
                let expected = times.iter().filter(|time| **time > edge).count();
                prop_assert_eq!(window.after(edge), i64::try_from(expected).unwrap());
            }
        }
    }
}
