// SPDX-License-Identifier: MPL-2.0

package integrations

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The picture, in pixels. Seconds are counted from where the outage begins.
const (
	plotLeft, plotRight = 170, 740
	plotTop, plotBottom = 40, 180
	rowHeight           = 22
	plotWidth           = 760
	mostLife            = 60
	beforeOutage        = 5
)

// row is a line of the picture below the curve: when something was so.
type row struct{ name, color, expression string }

var rows = []row{
	{"readers get a token", "#2da44e", `idelta(adobeims_role_reads_total{role="firefly"}[3s]) > 0`},
	{"RoleDegraded fires", "#bf8700", `ALERTS{alertname="AdobeIMSRoleDegraded", role="firefly", alertstate="firing"}`},
	{"TokenNearEnd fires", "#cf222e", `ALERTS{alertname="AdobeIMSTokenNearEnd", role="firefly", alertstate="firing"}`},
	{"RoleFailing fires", "#cf222e", `ALERTS{alertname="AdobeIMSRoleFailing", role="firefly", alertstate="firing"}`},
}

// plot draws what Prometheus has recorded of an outage into a file, if one is named.
func (f *fixture) plot(t *testing.T, file string, began, over time.Time) {
	t.Helper()
	if file == "" {
		return
	}
	from, to := began.Add(-beforeOutage*time.Second), time.Now()
	span := to.Sub(from).Seconds()
	x := func(at time.Time) float64 { return plotLeft + at.Sub(from).Seconds()/span*(plotRight-plotLeft) }
	height := plotBottom + 40 + rowHeight*len(rows)
	var svg strings.Builder
	draw := func(format string, args ...any) { fmt.Fprintf(&svg, format+"\n", args...) }
	draw(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">`, plotWidth, height)
	draw(`<rect width="%d" height="%d" fill="#ffffff"/>`, plotWidth, height)
	draw(`<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#cf222e" fill-opacity="0.08"/>`, x(began), plotTop, x(over)-x(began), height-plotTop-30)
	draw(`<text x="%.1f" y="%d">IMS answers 503</text>`, x(began)+4, plotTop-6)

	for life := 0; life <= mostLife; life += 15 {
		y := plotY(float64(life))
		draw(`<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#d0d7de"/>`, plotLeft, plotRight, y, y)
		draw(`<text x="%d" y="%.1f" text-anchor="end">%d s</text>`, plotLeft-6, y+4, life)
	}
	draw(`<text x="10" y="%d">life of the token left</text>`, plotTop-6)
	left := f.during(`adobeims_role_token_expire_timestamp_seconds{role="firefly"} - time()`, from, to)
	require.Len(t, left, 1)
	draw(`<path d="%s" fill="none" stroke="#0969da" stroke-width="2"/>`, curve(left[0].Values, x))

	for i, r := range rows {
		y := plotBottom + 10 + rowHeight*i
		draw(`<text x="%d" y="%d" text-anchor="end">%s</text>`, plotLeft-6, y+13, r.name)
		for _, one := range f.during(r.expression, from, to) {
			for _, s := range spans(one.Values) {
				draw(`<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`, x(s.from), y+2, x(s.to)-x(s.from), rowHeight-6, r.color)
			}
		}
	}
	for second := 0; float64(second) < span; second += 10 {
		at := began.Add(time.Duration(second) * time.Second)
		if x(at) <= plotRight {
			draw(`<text x="%.1f" y="%d" text-anchor="middle">%d s</text>`, x(at), height-10, second)
		}
	}
	draw(`</svg>`)
	require.NoError(t, os.WriteFile(file, []byte(svg.String()), 0o600))
}

// timeSpan is from one second to another that is no part of it.
type timeSpan struct{ from, to time.Time }

// spans puts seconds together that follow each other.
func spans(values []sample) (all []timeSpan) {
	for _, s := range values {
		if n := len(all); n > 0 && s.at.Sub(all[n-1].to) < time.Second/2 {
			all[n-1].to = s.at.Add(time.Second)
		} else {
			all = append(all, timeSpan{s.at, s.at.Add(time.Second)})
		}
	}
	return all
}

func plotY(life float64) float64 {
	return plotBottom - math.Max(0, math.Min(life, mostLife))/mostLife*(plotBottom-plotTop)
}

// curve begins anew where a second is missing.
func curve(values []sample, x func(time.Time) float64) string {
	var d strings.Builder
	for i, s := range values {
		life, _ := strconv.ParseFloat(s.value, 64)
		step := "L"
		if i == 0 || s.at.Sub(values[i-1].at) > 1500*time.Millisecond {
			step = "M"
		}
		fmt.Fprintf(&d, "%s%.1f %.1f ", step, x(s.at), plotY(life))
	}
	return d.String()
}
