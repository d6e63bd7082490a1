// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"crypto/x509"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/field"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

var (
	consoleOrgIDFormat = regexp.MustCompile(`^[0-9]+$`)
	consoleIDFormat    = regexp.MustCompile(`^[0-9A-Za-z-]+$`)
)

// Check refuses what the Settings cannot be, by the name of the field, and puts
// what can be in its one form: texts without white space around them, URLs
// without a slash at the end, the default of rotation_window. The error is an
// *advice.Error. It quotes no text that could be a secret in the wrong place.
func (s *Settings) Check() error {
	for _, check := range []func() error{
		s.checkTexts, s.checkIdentity, s.checkURLs, s.checkTransport, s.checkConsoleIDs, s.checkRedirectURI, s.checkRotation,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkTexts comes first: it is cheap, and bounds what the others look at.
func (s *Settings) checkTexts() (err error) {
	for _, text := range []struct {
		name  string
		value *string
		limit int
	}{
		{"client_id", &s.ClientID, maxClientID},
		{"credential_type", (*string)(&s.Type), maxConsoleID},
		{"org_id", &s.OrgID, maxOrgID},
		{"redirect_uri", &s.RedirectURI, maxRedirectURI},
		{"ims_url", &s.IMSURL, maxURL},
		{"console_org_id", &s.ConsoleOrgID, maxConsoleID},
		{"credential_id", &s.CredentialID, maxConsoleID},
		{"console_url", &s.ConsoleURL, maxURL},
		{"rotation_schedule", &s.RotationSchedule, maxSchedule},
		{"technical_account_id", &s.TechnicalAccountID, maxTechnicalAccount},
		{"technical_account_email", &s.TechnicalAccountEmail, maxTechnicalAccount},
	} {
		if *text.value, err = field.Text(text.name, *text.value, text.limit); err != nil {
			return err
		}
	}
	s.CACert, err = field.Document("ca_cert", s.CACert, maxCACert)
	return err
}

func (s *Settings) checkIdentity() error {
	switch {
	case s.ClientID == "":
		return advice.Field("client_id", "required; the Developer Console shows it on the page of the credential")
	case s.Type != ServerToServer && s.Type != WebApp:
		return advice.Field("credential_type", "is not a supported type; it must be %s or %s", ServerToServer, WebApp)
	case s.OrgID != "" && !strings.HasSuffix(s.OrgID, "@AdobeOrg"):
		return advice.Field("org_id", "does not end in @AdobeOrg; the number in the Developer Console's URL belongs in console_org_id")
	}
	return nil
}

func (s *Settings) checkURLs() error {
	for _, address := range []struct {
		name, example string
		value         *string
	}{
		{"ims_url", ims.DefaultURL, &s.IMSURL},
		{"console_url", console.DefaultURL, &s.ConsoleURL},
	} {
		normal, problem := serviceURL(*address.value)
		if problem != "" {
			return advice.Field(address.name, "%s; it must be an https URL of nothing but a host, such as %s", problem, address.example)
		}
		*address.value = normal
	}
	return nil
}

// serviceURL returns the address of an Adobe service in its one form, or what
// is wrong with it. Only loopback may go without TLS: the credential travels in
// the request. The address is not quoted: a secret may be in it.
func serviceURL(address string) (normal, problem string) {
	u, err := url.Parse(address)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return "", "is not a URL with https"
	case u.User != nil:
		return "", "has a user or password in it"
	case strings.Trim(u.Path, "/") != "", u.RawQuery != "", u.Fragment != "", u.ForceQuery:
		return "", "has more than a host in it"
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "", "is plain http, which is for a loopback address only"
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), ""
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func (s *Settings) checkTransport() error {
	switch {
	case s.RequestTimeout < minRequestTimeout || s.RequestTimeout > maxRequestTimeout:
		return advice.Field("request_timeout", "%s is out of range; it must be from %s to %s",
			advice.Span(s.RequestTimeout), advice.Span(minRequestTimeout), advice.Span(maxRequestTimeout))
	case s.MaxRetries < 0 || s.MaxRetries > maxRetries:
		return advice.Field("max_retries", "%d is out of range; it must be from 0 to %d", s.MaxRetries, maxRetries)
	case strings.Contains(s.CACert, "PRIVATE KEY-----"):
		return advice.Field("ca_cert", "holds a private key; it must be a PEM bundle of certificates only, since a read answers it")
	case s.CACert != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(s.CACert)):
		return advice.Field("ca_cert", "holds no certificate; it must be a PEM bundle, such as ca_cert=@ca.pem")
	}
	return nil
}

func (s *Settings) checkConsoleIDs() error {
	switch {
	case s.ConsoleOrgID != "" && !consoleOrgIDFormat.MatchString(s.ConsoleOrgID):
		return advice.Field("console_org_id", "is not a number; it is the first number in the Developer Console's URL, https://developer.adobe.com/console/projects/<console_org_id>/...")
	case s.CredentialID != "" && !consoleIDFormat.MatchString(s.CredentialID):
		return advice.Field("credential_id", "is not an id of digits, letters and hyphens; it is in the Developer Console's URL, .../credentials/<credential_id>/...")
	case len(s.Scopes) > maxScopes:
		return advice.Field("project", "lists %d scopes; %d is the limit", len(s.Scopes), maxScopes)
	}
	return nil
}

func (s *Settings) checkRedirectURI() error {
	switch {
	case s.Type != WebApp && s.RedirectURI != "":
		return advice.Field("redirect_uri", "is for credential_type=%s only", WebApp)
	case s.Type != WebApp:
		return nil
	case s.RedirectURI == "":
		return advice.Field("redirect_uri", "required with credential_type=%s; it must be one that the credential has in the Developer Console", WebApp)
	}
	if problem := redirectURIProblem(s.RedirectURI); problem != "" {
		return advice.Field("redirect_uri", "%s; it must be an https URL that the credential has in the Developer Console", problem)
	}
	return nil
}

// redirectURIProblem says why Adobe cannot send a browser with the code there.
func redirectURIProblem(address string) string {
	u, err := url.Parse(address)
	switch {
	case err != nil, u.Hostname() == "", u.Fragment != "", u.User != nil:
		return "is not a URL that a browser can be sent to"
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return "is not https; plain http is for a loopback address only"
	}
	return ""
}

func (s *Settings) checkRotation() error {
	for _, span := range []struct {
		name  string
		value time.Duration
	}{
		{"rotation_period", s.RotationPeriod},
		{"rotation_window", s.RotationWindow},
		{"previous_secret_ttl", s.PreviousSecretTTL},
	} {
		if span.value < 0 || span.value > maxDuration {
			return advice.Field(span.name, "%s is out of range; it must be from 0 to %s", advice.Span(span.value), advice.Span(maxDuration))
		}
	}
	if s.RotationSchedule == "" && s.RotationWindow == defaultRotationWindow {
		s.RotationWindow = 0 // it came with a schedule that is none any more
	}
	switch {
	case s.RotationPeriod > 0 && s.RotationSchedule != "":
		return advice.Field("rotation_schedule", "cannot be used beside rotation_period (%s): with the one, write rotation_period=0, with the other, rotation_schedule=\"\"", advice.Span(s.RotationPeriod))
	case s.RotationWindow > 0 && s.RotationSchedule == "":
		return advice.Field("rotation_window", "is for a rotation_schedule only; write rotation_window=0, or rotation_schedule as well")
	case s.RotationPeriod > 0:
		return s.checkPeriod()
	case s.RotationSchedule != "":
		return s.checkSchedule()
	}
	return nil
}

func (s *Settings) checkPeriod() error {
	if err := s.checkCanRotate("rotation_period"); err != nil {
		return err
	}
	switch {
	case s.RotationPeriod < minRotationPeriod:
		return advice.Field("rotation_period", "%s is too short; it must be at least %s, and at least previous_secret_ttl (%s). A number without a unit is seconds: write 30 days as 30d",
			advice.Span(s.RotationPeriod), advice.Span(minRotationPeriod), advice.Span(s.PreviousSecretTTL))
	case s.RotationPeriod < s.PreviousSecretTTL:
		return advice.Field("rotation_period", "%s is less than previous_secret_ttl, %s: the previous secret would be removed early, because Adobe allows two. Raise the one or lower the other",
			advice.Span(s.RotationPeriod), advice.Span(s.PreviousSecretTTL))
	}
	return nil
}

func (s *Settings) checkSchedule() error {
	if err := s.checkCanRotate("rotation_schedule"); err != nil {
		return err
	}
	parsed, err := parseSchedule(s.RotationSchedule)
	switch {
	case err != nil:
		return advice.Field("rotation_schedule", "is not a cron schedule of five fields in UTC (minute, hour, day of the month, month, day of the week), such as \"0 3 1 * *\"")
	case parsed.Next(scheduleEpoch).IsZero():
		return advice.Field("rotation_schedule", "names a day that never comes")
	case s.RotationWindow == 0:
		s.RotationWindow = defaultRotationWindow
	case s.RotationWindow < minRotationWindow:
		return advice.Field("rotation_window", "%s is too short; it must be at least %s", advice.Span(s.RotationWindow), advice.Span(minRotationWindow))
	}
	return nil
}

func (s *Settings) checkCanRotate(name string) error {
	switch {
	case s.Type == WebApp:
		return advice.Field(name, "Adobe offers no rotation for credential_type=%s; change its secret in the Developer Console", WebApp)
	case !s.CanRotate():
		return advice.Field(name, "needs console_org_id and credential_id, both numbers in the URL of the credential's page in the Developer Console")
	}
	return nil
}

// ParseSecret returns a client secret as it may be stored. The error is an
// *advice.Error.
func ParseSecret(value string) (secret.Secret, error) {
	text, err := field.Text("client_secret", value, maxClientSecret)
	return secret.Secret(text), err
}

// ParseSecretUUID returns the uuid of a client secret, or "" to forget it.
func ParseSecretUUID(value string) (string, error) {
	text, err := field.Text("client_secret_uuid", value, maxConsoleID)
	if err == nil && text != "" && !consoleIDFormat.MatchString(text) {
		err = advice.Field("client_secret_uuid", "is not a uuid from the Developer Console, of digits, letters and hyphens")
	}
	return text, err
}
