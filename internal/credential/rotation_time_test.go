// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func day(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestNextRotation(t *testing.T) {
	never := time.Time{}
	for name, test := range map[string]struct {
		change func(*Credential)
		set    string
		now    string
		next   time.Time
		due    bool
	}{
		"by hand only":                 {func(*Credential) {}, "2026-11-01 00:00:00", "2026-11-30 00:00:00", never, false},
		"a period without ids":         {func(c *Credential) { c.RotationPeriod, c.ConsoleOrgID = time.Hour, "" }, "2026-11-01 00:00:00", "2026-11-30 00:00:00", never, false},
		"before the end of the period": {func(c *Credential) { c.RotationPeriod = 24 * time.Hour }, "2026-11-01 12:00:00", "2026-11-02 11:59:59", day("2026-11-02 12:00:00"), false},
		"at the end of the period":     {func(c *Credential) { c.RotationPeriod = 24 * time.Hour }, "2026-11-01 12:00:00", "2026-11-02 12:00:00", day("2026-11-02 12:00:00"), true},
		"long after the period":        {func(c *Credential) { c.RotationPeriod = 24 * time.Hour }, "2026-11-01 12:00:00", "2026-12-02 12:00:00", day("2026-11-02 12:00:00"), true},

		"before the time":              {weekly, "2026-11-15 03:00:30", "2026-11-22 02:59:59", day("2026-11-22 03:00:00"), false},
		"at the time":                  {weekly, "2026-11-15 03:00:30", "2026-11-22 03:00:00", day("2026-11-22 03:00:00"), true},
		"at the end of the window":     {weekly, "2026-11-15 03:00:30", "2026-11-22 03:59:59", day("2026-11-22 03:00:00"), true},
		"after a window that was used": {weekly, "2026-11-22 03:00:05", "2026-11-22 03:10:00", day("2026-11-29 03:00:00"), false},
		"after a window that went by":  {weekly, "2026-11-15 03:00:30", "2026-11-22 04:00:00", day("2026-11-29 03:00:00"), false},
		"after many that went by":      {weekly, "2026-01-01 00:00:00", "2026-11-25 00:00:00", day("2026-11-29 03:00:00"), false},
		"in the window after many":     {weekly, "2026-01-01 00:00:00", "2026-11-29 03:30:00", day("2026-11-29 03:00:00"), true},
		"written within the window":    {weekly, "2026-11-22 03:20:00", "2026-11-22 03:30:00", day("2026-11-29 03:00:00"), false},
		"a window longer than the gap": {func(c *Credential) { c.RotationSchedule, c.RotationWindow = "0 * * * *", 3*time.Hour }, "2026-11-22 03:20:00", "2026-11-22 06:10:00", day("2026-11-22 04:00:00"), true},
		"a schedule without ids":       {func(c *Credential) { weekly(c); c.CredentialID = "" }, "2026-11-15 03:00:30", "2026-11-22 03:00:00", never, false},
		"a schedule nobody can read":   {func(c *Credential) { weekly(c); c.RotationSchedule = "x" }, "2026-11-15 03:00:30", "2026-11-22 03:00:00", never, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := rotating("https://ims", "p8e-1")
			c.Set = day(test.set)
			test.change(c)
			for _, zone := range []*time.Location{time.UTC, time.FixedZone("x", 5*3600+1800)} {
				now := day(test.now).In(zone)
				require.Equal(t, test.next, c.NextRotation(now))
				require.Equal(t, test.due, c.RotationDue(now))
			}
		})
	}
}

// weekly rotates on Sundays at three, UTC.
func weekly(c *Credential) { c.RotationSchedule, c.RotationWindow = "0 3 * * 0", time.Hour }
