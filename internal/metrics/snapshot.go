// SPDX-License-Identifier: MPL-2.0

package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	ofRole   = []string{"role", "config"}
	ofConfig = []string{"config"}

	roleMinted        = desc("role_token_mint_timestamp_seconds", "When the role's current token was minted, since 1970.", ofRole)
	roleExpires       = desc("role_token_expire_timestamp_seconds", "When the role's current token expires, since 1970.", ofRole)
	roleFailures      = desc("role_consecutive_failures", "Failed mints of the role since the last that succeeded.", ofRole)
	roleOutstanding   = desc("role_outstanding_tokens", "Shared tokens of the role that have neither expired nor been invalidated.", ofRole)
	roleUninvalidated = desc("role_uninvalidated_tokens", "Tokens of the role that are to be invalidated and that IMS has not confirmed to be dead; also of a role that was deleted.", ofRole)
	roleState         = desc("role_state", "Always 1. The label state has the state of the role, as status/ has it.", append(ofRole, "state"))
	roleReads         = desc("role_reads_total", "Tokens of the role handed out since the mount was set up.", ofRole)
	roleMints         = desc("role_mints_total", "Mints of the role by outcome since the mount was set up.", append(ofRole, "outcome"))

	authorizationExpires   = desc("authorization_expire_timestamp_seconds", "When a person's authorization of the role lapses unless it is used, since 1970.", ofRole)
	authorizationUnrevoked = desc("authorization_unrevoked_refresh_tokens", "Refresh tokens of the role that are to be revoked and that IMS has not confirmed to be dead; also of a role that was deleted.", ofRole)

	secretSet        = desc("config_secret_set_timestamp_seconds", "When the config's client secret was written or rotated in, since 1970.", ofConfig)
	rotationDue      = desc("config_rotation_due_timestamp_seconds", "When the config's current client secret was or is to be rotated for the first time, since 1970.", ofConfig)
	nextRotation     = desc("config_next_rotation_timestamp_seconds", "When the config's client secret is to be rotated next, since 1970: by schedule, a later time once a window has gone by.", ofConfig)
	rotationPeriod   = desc("config_rotation_period_seconds", "Time from one planned rotation of the config's client secret to the next.", ofConfig)
	rotationFailures = desc("config_rotation_consecutive_failures", "Failed rotations of the config since the last that succeeded.", ofConfig)
	secrets          = desc("config_secrets", "Client secrets of the config at Adobe, as far as the engine knows.", ofConfig)
	throttledUntil   = desc("config_throttled_until_timestamp_seconds", "Until when IMS asked to be left alone with the config's credential, since 1970; only while that lasts.", ofConfig)

	underWay = desc("requests_in_flight", "Requests to Adobe under way.", nil)
	waiting  = desc("requests_waiting", "Requests to Adobe that wait for their turn.", nil)
)

func desc(name, help string, labels []string) *prometheus.Desc {
	return prometheus.NewDesc("adobeims_"+name, help, labels, nil)
}

// snapshot is what the Source told at one scrape.
type snapshot struct {
	roles     []Role
	leftovers []Leftover
	configs   []Config
	requests  Requests
}

func (m *Metrics) look(ctx context.Context) (*snapshot, error) {
	roles, err := m.source.Roles(ctx)
	if err != nil {
		return nil, err
	}
	leftovers, err := m.source.Leftovers(ctx)
	if err != nil {
		return nil, err
	}
	configs, err := m.source.Configs(ctx)
	if err != nil {
		return nil, err
	}
	return &snapshot{roles: roles, leftovers: leftovers, configs: configs, requests: m.source.Requests()}, nil
}

// Describe implements prometheus.Collector: what there is changes.
func (s *snapshot) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s *snapshot) Collect(to chan<- prometheus.Metric) {
	for _, r := range s.roles {
		r.collect(to)
	}
	for _, l := range s.leftovers {
		l.collect(to)
	}
	for _, c := range s.configs {
		c.collect(to)
	}
	gauge(to, underWay, float64(s.requests.UnderWay))
	gauge(to, waiting, float64(s.requests.Waiting))
}

func (r Role) collect(to chan<- prometheus.Metric) {
	gauge(to, roleState, 1, r.Name, r.Config, r.State)
	if r.State == Unknown {
		return
	}
	moment(to, roleMinted, r.Minted, r.Name, r.Config)
	moment(to, roleExpires, r.Expires, r.Name, r.Config)
	moment(to, authorizationExpires, r.AuthorizationExpires, r.Name, r.Config)
	gauge(to, roleFailures, float64(r.Failures), r.Name, r.Config)
	gauge(to, roleOutstanding, float64(r.Outstanding), r.Name, r.Config)
	gauge(to, roleUninvalidated, float64(r.Uninvalidated), r.Name, r.Config)
	if r.Unrevoked > 0 || !r.AuthorizationExpires.IsZero() {
		gauge(to, authorizationUnrevoked, float64(r.Unrevoked), r.Name, r.Config)
	}
	counter(to, roleReads, r.Reads, r.Name, r.Config)
	counter(to, roleMints, r.Mints, r.Name, r.Config, "success")
	counter(to, roleMints, r.MintFailures, r.Name, r.Config, "failure")
}

// A role that is gone has no config.
func (l Leftover) collect(to chan<- prometheus.Metric) {
	gauge(to, roleUninvalidated, float64(l.Uninvalidated), l.Role, "")
	gauge(to, authorizationUnrevoked, float64(l.Unrevoked), l.Role, "")
}

func (c Config) collect(to chan<- prometheus.Metric) {
	moment(to, secretSet, c.SecretSet, c.Name)
	moment(to, rotationDue, c.RotationDue, c.Name)
	moment(to, nextRotation, c.NextRotation, c.Name)
	moment(to, throttledUntil, c.ThrottledUntil, c.Name)
	if c.RotationPeriod > 0 {
		gauge(to, rotationPeriod, c.RotationPeriod.Seconds(), c.Name)
	}
	gauge(to, rotationFailures, float64(c.RotationFailures), c.Name)
	gauge(to, secrets, float64(c.Secrets), c.Name)
}

func gauge(to chan<- prometheus.Metric, d *prometheus.Desc, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func counter(to chan<- prometheus.Metric, d *prometheus.Desc, value uint64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
}

// moment tells a time; nothing if it is zero.
func moment(to chan<- prometheus.Metric, d *prometheus.Desc, at time.Time, labels ...string) {
	if !at.IsZero() {
		gauge(to, d, float64(at.UnixMilli())/1000, labels...)
	}
}
