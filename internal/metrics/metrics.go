// SPDX-License-Identifier: MPL-2.0

// Package metrics writes what is known of a mount in Prometheus' text format.
//
// It knows the names, units and help of the metrics, and nothing of where their
// values come from: a Source tells them at each scrape, and requests to Adobe are
// observed as they end. No metric or label holds a secret or a token.
package metrics

import (
	"context"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// ContentType is that of what Write writes.
var ContentType = string(expfmt.NewFormat(expfmt.TypeTextPlain))

// Unknown is the state of a role that could not be looked at.
const Unknown = "unknown"

// Role is what is told of a role.
type Role struct {
	Name, Config string
	State        string // as status/ has it; nothing else is known in the state Unknown

	Minted, Expires            time.Time // of the current token; zero if there is none
	Failures                   int       // in a row
	Outstanding, Uninvalidated int       // tokens
	Reads                      uint64
	Mints, MintFailures        uint64

	AuthorizationExpires time.Time // zero unless a person authorized the role
	Unrevoked            int       // refresh tokens that are still to be revoked
}

// Leftover is what a role that was deleted left alive at IMS.
type Leftover struct {
	Role          string
	Uninvalidated int // access tokens
	Unrevoked     int // refresh tokens
}

// Config is what is told of a config.
type Config struct {
	Name      string
	SecretSet time.Time // when the current secret was written or rotated in

	// RotationDue is when the current secret was or is to be rotated for the first
	// time, and NextRotation when that is tried next: by schedule, a later time
	// once a window has gone by. RotationPeriod is from one planned rotation to the
	// next. All are zero if none is planned.
	RotationDue, NextRotation time.Time
	RotationPeriod            time.Duration

	RotationFailures int       // in a row
	Secrets          int       // at Adobe, as far as the engine knows
	ThrottledUntil   time.Time // zero unless IMS asked to be left alone
}

// Requests is what is told of the requests to Adobe under way.
type Requests struct{ UnderWay, Waiting int }

// Source tells what a mount is like now.
type Source interface {
	Roles(ctx context.Context) ([]Role, error)
	Leftovers(ctx context.Context) ([]Leftover, error)
	Configs(ctx context.Context) ([]Config, error)
	Requests() Requests
}

// Metrics are those of one mount. They are safe for concurrent use.
type Metrics struct {
	source   Source
	standing *prometheus.Registry // what is counted between scrapes
	duration *prometheus.HistogramVec
}

// Build is which build of the plugin runs.
type Build struct{ Version, Commit string }

// New returns the Metrics of a mount.
func New(build Build, source Source) *Metrics {
	m := &Metrics{
		source:   source,
		standing: prometheus.NewRegistry(),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "adobeims_request_duration_seconds",
			Help:    "Time that Adobe took to answer an attempt of a request, waiting for its turn not included.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"service", "endpoint", "outcome"}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "adobeims_build_info",
		Help:        "Build of the plugin; always 1.",
		ConstLabels: prometheus.Labels{"version": build.Version, "commit": build.Commit},
	})
	info.Set(1)
	m.standing.MustRegister(m.duration, info, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Observe counts an attempt of a request to Adobe.
func (m *Metrics) Observe(service, endpoint, outcome string, took time.Duration) {
	m.duration.WithLabelValues(service, endpoint, outcome).Observe(took.Seconds())
}

// Write writes all metrics in Prometheus' text format.
func (m *Metrics) Write(ctx context.Context, w io.Writer) error {
	seen, err := m.look(ctx)
	if err != nil {
		return err
	}
	now := prometheus.NewRegistry()
	now.MustRegister(seen)
	families, err := prometheus.Gatherers{m.standing, now}.Gather()
	if err != nil {
		return err
	}
	encoder := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return err
		}
	}
	return nil
}
