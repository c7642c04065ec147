//! The trend of memory over time.

/// Fits a straight line to the points by least squares and returns its slope; 0 where there are too
/// few points.
pub(super) fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if points.len() < 2 || spread == 0.0 {
        return 0.0;
    }
    points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_line_whatever_lies_around_it() {
        assert_eq!(slope(&[]), 0.0);
        assert_eq!(slope(&[(1.0, 5.0)]), 0.0);
        assert_eq!(slope(&[(0.0, 7.0), (1.0, 10.0), (2.0, 13.0)]), 3.0);
        assert_eq!(slope(&[(0.0, 1.0), (1.0, -1.0), (2.0, -1.0), (3.0, 1.0)]), 0.0);
    }
}
