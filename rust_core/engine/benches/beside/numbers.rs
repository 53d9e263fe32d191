//! Chance for the benches' frames: the same on every machine.

/// A small linear congruential generator (Knuth, MMIX).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// Distances of `count` levels from the touch in ticks, the nearest first: many small ones, few large ones.
    pub fn distances(&mut self, count: usize) -> Vec<u64> {
        let mut distances: Vec<u64> = Vec::new();
        while distances.len() < count {
            let spread = 1 << (3 + self.below(6));
            let distance = self.below(spread);
            if !distances.contains(&distance) {
                distances.push(distance);
            }
        }
        distances.sort_unstable();
        distances
    }
}
