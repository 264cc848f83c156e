//! Calendar time, from nothing but the system clock.

use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS_PER_DAY: i64 = 86_400;
/// The Gregorian calendar repeats after 400 years of this many days.
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 0000-03-01 (proleptic) to 1970-01-01.
const EPOCH_FROM_MARCH_0: i64 = 719_468;

/// A moment as RFC 3339 in UTC, to the second: `2026-03-01T12:00:00Z`.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// let leap_day = UNIX_EPOCH + Duration::from_secs(951_782_400);
/// assert_eq!(tamis_report::rfc3339(leap_day), "2000-02-29T00:00:00Z");
/// ```
pub fn rfc3339(moment: SystemTime) -> String {
    let seconds = match moment.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        // Rounded down, so that a moment just before 1970 belongs to the second that holds it.
        Err(before) => {
            let before = before.duration();
            let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX - 1);
            -whole - i64::from(before.subsec_nanos() > 0)
        }
    };
    let (year, month, day) = civil(seconds.div_euclid(SECONDS_PER_DAY));
    let second = seconds.rem_euclid(SECONDS_PER_DAY);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// Years are taken to begin in March: then the leap day is the last of its year, and month lengths
/// follow one line, (153 m + 2) / 5 days before month m = 0..=11.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_FROM_MARCH_0;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    // Take the leap days out (one per 4 years, none per 100, one at the era's very end).
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) =
        if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    (era * 400 + year_of_era + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::civil;

    /// The second witness: count the days one by one.
    #[test]
    fn calendar_equals_counting_days() {
        let (mut year, mut month, mut day) = (1900, 1, 1);
        // 1900-01-01 is 25,567 days before 1970-01-01; go on to the year 2500.
        for days in -25_567_i64..193_600 {
            assert_eq!(civil(days), (year, month, day), "day {days}");
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + i64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }
}
