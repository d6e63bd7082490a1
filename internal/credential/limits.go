// SPDX-License-Identifier: MPL-2.0

package credential

import "time"

// How long the texts of a config may be, in bytes. docs/api.md lists them.
const (
	maxClientID         = 256
	maxClientSecret     = 1 << 10
	maxOrgID            = 128
	maxURL              = 512
	maxRedirectURI      = 2 << 10
	maxCACert           = 64 << 10
	maxConsoleID        = 64 // console_org_id, credential_id, client_secret_uuid
	maxTechnicalAccount = 256
	maxSchedule         = 256
	maxScope            = 256
	maxScopes           = 256 // how many
	maxProject          = 256 << 10
	maxSecrets          = 4 // how many of a file are tried
)

const (
	minRequestTimeout = time.Second
	maxRequestTimeout = 60 * time.Second

	maxRetries = 10

	minRotationPeriod = time.Minute
	minRotationWindow = time.Minute

	// maxDuration is the limit of what is told in days.
	maxDuration = 10 * 365 * 24 * time.Hour

	// defaultRotationWindow is Vault's least for a static role.
	defaultRotationWindow = time.Hour
)
