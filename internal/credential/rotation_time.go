// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"errors"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// A client secret is rotated by period, so long after it was set, or by
// schedule, within the window after each time that the schedule names. As in
// Vault Enterprise, a window that goes by without a rotation is not made up
// for: the next one is that of the next time.

// scheduleEpoch is where looking at a schedule begins, so that what Check says
// of it does not depend on the day.
var scheduleEpoch = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// scheduleParser takes what Vault's rotation schedules may have.
var scheduleParser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

func parseSchedule(text string) (*cron.SpecSchedule, error) {
	// The parser takes a time zone, and panics at one without a schedule.
	if strings.Contains(text, "=") {
		return nil, errors.New("a time zone")
	}
	parsed, err := scheduleParser.Parse(text)
	if err != nil {
		return nil, err
	}
	schedule, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, errors.New("no schedule of five fields")
	}
	schedule.Location = time.UTC
	return schedule, nil
}

// NextRotation is when the current secret is rotated next; zero for never. It
// is not after now if that is due.
func (c *Credential) NextRotation(now time.Time) time.Time {
	switch {
	case !c.CanRotate():
		return time.Time{}
	case c.RotationPeriod > 0:
		return c.Set.Add(c.RotationPeriod)
	case c.RotationSchedule == "":
		return time.Time{}
	}
	schedule, err := parseSchedule(c.RotationSchedule)
	if err != nil {
		return time.Time{} // Check let none of those pass
	}
	// The first time whose window is not over, and not the one of the last
	// rotation.
	open := now.Add(-c.RotationWindow)
	if c.Set.After(open) {
		open = c.Set
	}
	return schedule.Next(open.UTC())
}

// RotationDue reports whether the current secret is to be rotated now. By
// schedule, it is so only within the window.
func (c *Credential) RotationDue(now time.Time) bool {
	next := c.NextRotation(now)
	return !next.IsZero() && !next.After(now)
}

// shortestGap is the least time between two rotations of a schedule that Check
// let pass, as far as a bounded look tells.
func shortestGap(text string) time.Duration {
	const looked = 100
	schedule, err := parseSchedule(text)
	if err != nil {
		return maxDuration
	}
	shortest := maxDuration
	last := schedule.Next(scheduleEpoch)
	for range looked {
		next := schedule.Next(last)
		if last.IsZero() || next.IsZero() {
			break
		}
		shortest = min(shortest, next.Sub(last))
		last = next
	}
	return shortest
}
