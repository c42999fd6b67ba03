//! Counts the times that are after an edge, which moves with the clock.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included};

/// A multiset of times, and the number of them after the edge.
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
    /// Adds a time.
    pub fn insert(&mut self, time: i64) {
        *self.times.entry(time).or_default() += 1;
        self.after += i64::from(time > self.edge);
    }

    /// Removes a time that was added.
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

    /// Moves the edge, forward or back, and counts the times after it. The cost is the number of times
    /// between the old and the new edge.
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
        fn it_counts_the_same_as_a_scan_of_all_times(
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
