// SPDX-License-Identifier: MPL-2.0

package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

const (
	webClientID   = "0123456789abcdef0123456789abcdef"
	personScopes  = "openid,AdobeID,offline_access"
	designerRole  = "adobeims/roles/designer"
	designerToken = "adobeims/token/designer"
	authorizePath = "adobeims/authorize/designer"

	linkNoLongerWorks = "This link no longer works"
)

// webApp is an OAuth Web App credential in Vault, with a role "designer" that nobody has authorized.
type webApp struct {
	*adobe
	vault    *vaulttest.Server
	callback string // Vault's own
	redirect string // the redirect URI

	mu      sync.Mutex
	secrets []string // the tokens that the emulator gave away
}

// startWebApp starts Vault and the emulator. Without a redirect URI, the callback is it.
func startWebApp(t *testing.T, redirect string) *webApp {
	t.Helper()
	vault := vaulttest.Start(t, vaulttest.Options{Audit: true, Config: "raw_storage_endpoint = true\n"})
	w := &webApp{adobe: startAdobe(t, time.Hour), vault: vault, callback: vault.Addr + "/v1/adobeims/callback", redirect: redirect}
	if redirect == "" {
		w.redirect = w.callback
	}
	w.AddClient(emulator.Client{
		ID: webClientID, CredentialType: emulator.OAuthWebApp, Secrets: []string{clientSecret}, RedirectURIs: []string{w.redirect},
	})
	w.AlterToken(func(answer map[string]any) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, name := range []string{"access_token", "refresh_token"} {
			w.secrets = append(w.secrets, fmt.Sprint(answer[name]))
		}
	})
	vault.Write(t, "adobeims/config/person", vaulttest.Data{
		"credential_type": "oauth_web_app", "redirect_uri": w.redirect, "client_id": webClientID, "client_secret": clientSecret, "ims_url": w.URL,
	})
	vault.Write(t, designerRole, vaulttest.Data{"config": "person", "scopes": personScopes})
	w.ResetCounters()
	return w
}

// authorizeURL is where a person signs in.
func (w *webApp) authorizeURL(t *testing.T) string {
	t.Helper()
	answer, err := w.vault.Client(t).Logical().Write(authorizePath, nil)
	require.NoError(t, err)
	return answer.Data["authorize_url"].(string)
}

// consent signs in without a browser and returns what Adobe gives to the redirect URI.
func (w *webApp) consent(t *testing.T) url.Values {
	t.Helper()
	to, err := w.Allow(w.authorizeURL(t))
	require.NoError(t, err)
	u, err := url.Parse(to)
	require.NoError(t, err)
	require.Equal(t, w.redirect, u.Scheme+"://"+u.Host+u.Path)
	return u.Query()
}

// requireUnauthorized wants a reader to be told who has to do what.
func (w *webApp) requireUnauthorized(t *testing.T) {
	t.Helper()
	_, err := w.vault.Client(t).Logical().Read(designerToken)
	requireStatus(t, http.StatusBadRequest, err, "nobody has authorized the role")
	require.Contains(t, err.Error(), "vault write -f adobeims/authorize/designer")
	require.NotContains(t, w.vault.Read(t, "adobeims/status/designer").Data, "authorization_time")
}

// requireAuthorized returns the token that the role serves.
func (w *webApp) requireAuthorized(t *testing.T) string {
	t.Helper()
	token := w.vault.Read(t, designerToken).Data["access_token"].(string)
	require.True(t, w.Valid(token))
	status := w.vault.Read(t, "adobeims/status/designer").Data
	lapses, err := time.Parse(time.RFC3339, status["authorization_expire_time"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(14*24*time.Hour), lapses, time.Minute)
	return token
}

func (w *webApp) requireNotLogged(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	require.NotEmpty(t, w.secrets)
	w.vault.RequireNotLogged(t, append(w.secrets, clientSecret)...)
}

// storedKeys lists what the server's storage has of the mount and of tokens and leases.
func (w *webApp) storedKeys(t *testing.T) (keys []string) {
	t.Helper()
	mounts, err := w.vault.Client(t).Sys().ListMounts()
	require.NoError(t, err)
	var list func(folder string)
	list = func(folder string) {
		for _, key := range w.vault.List(t, "sys/raw/"+folder) {
			if strings.HasSuffix(key, "/") {
				list(folder + key)
				continue
			}
			keys = append(keys, folder+key)
		}
	}
	mount := "logical/" + mounts[vaulttest.Mount].UUID + "/"
	for _, folder := range []string{mount, "sys/token/id/", "sys/expire/id/"} {
		list(folder)
	}
	require.True(t, slices.ContainsFunc(keys, func(key string) bool { return strings.HasPrefix(key, mount+"role/") }), "the role is stored: %v", keys)
	return keys
}

// A person signs in and consents in a real browser, and Vault serves a token.
func TestSignInWithBrowser(t *testing.T) {
	b := startBrowser(t)
	w := startWebApp(t, "")
	w.requireUnauthorized(t)

	b.open(t, w.authorizeURL(t))
	b.requireSignInPage(t)
	require.Equal(t, http.StatusOK, b.press(t, "deny"))
	b.requireCallbackPage(t, w, "Access not granted")
	w.requireUnauthorized(t)

	b.open(t, w.authorizeURL(t))
	b.screenshot(t, "sign-in.png")
	b.enter(t, "email", "designer@example.com")
	require.Equal(t, http.StatusOK, b.press(t, "allow"))
	b.requireCallbackPage(t, w, "Access granted")
	b.screenshot(t, "callback.png")
	decision := w.Requests(emulator.AuthorizePath)
	require.Equal(t, "designer@example.com", decision[len(decision)-1].Form.Get("email"))
	token := w.requireAuthorized(t)
	require.Equal(t, 1, w.mints(), "the code brought the token")

	// The address is still in the browser: a reload repeats it.
	used := b.location(t)
	require.Equal(t, http.StatusBadRequest, b.open(t, used))
	b.requireCallbackPage(t, w, linkNoLongerWorks)
	for _, query := range []string{"?code=made-up-code&state=made-up-state", "?error=access_denied&state=made-up-state", ""} {
		require.Equal(t, http.StatusBadRequest, b.open(t, w.callback+query), query)
		b.requireCallbackPage(t, w, linkNoLongerWorks)
	}
	require.Equal(t, token, w.requireAuthorized(t))
	require.Equal(t, 1, w.mints())
	b.requirePolicyInForce(t)
	w.requireNotLogged(t)
}

// Where Adobe sends the browser elsewhere, code and state are written by hand.
func TestSignInByHand(t *testing.T) {
	w := startWebApp(t, "https://apps.example/signed-in")
	w.vault.Write(t, "adobeims/roles/other", vaulttest.Data{"config": "person", "scopes": personScopes})
	refuse := func(role string, query url.Values, what string) {
		t.Helper()
		_, err := w.vault.Client(t).Logical().Write("adobeims/authorize/"+role, vaulttest.Data{"code": query.Get("code"), "state": query.Get("state")})
		requireStatus(t, http.StatusBadRequest, err, what)
	}
	query := w.consent(t)
	refuse("other", query, "a state of another role")
	refuse("designer", url.Values{"code": {query.Get("code")}, "state": {"made-up"}}, "a made-up state")
	w.requireUnauthorized(t)

	operator := w.vault.ClientWithPolicy(t, `path "adobeims/authorize/designer" { capabilities = ["read", "update"] }`).Logical()
	answer, err := operator.Write(authorizePath, vaulttest.Data{"code": query.Get("code"), "state": query.Get("state")})
	require.NoError(t, err)
	require.NotEmpty(t, answer.Data["authorization_expire_time"])
	first := w.requireAuthorized(t)
	refuse("designer", query, "a state that was used")

	// The authorization outlives its first token, and the server.
	w.vault.Delete(t, designerToken)
	require.False(t, w.Valid(first))
	second := w.requireAuthorized(t)
	w.vault.Kill()
	w.vault.Restart(t)
	require.Equal(t, second, w.requireAuthorized(t))
	w.vault.Delete(t, designerToken)
	third := w.requireAuthorized(t)

	w.vault.Delete(t, authorizePath)
	require.False(t, w.Valid(third))
	w.requireUnauthorized(t)
	w.requireNotLogged(t)
}

// Whoever reaches Vault may call the callback: nothing comes of it.
func TestStrangersAtTheCallback(t *testing.T) {
	const strangers, requests = 8, 50
	w := startWebApp(t, "")
	query := w.consent(t)
	w.ResetCounters()
	before := w.storedKeys(t)

	var group sync.WaitGroup
	failures := make(chan string, strangers*requests)
	for stranger := range strangers {
		group.Go(func() {
			for i := range requests {
				// The right code is of no use without its state.
				q := url.Values{"code": {query.Get("code")}, "state": {fmt.Sprintf("%d-%d", stranger, i)}}
				if status, page, err := get(w.callback + "?" + q.Encode()); err != nil || status != http.StatusBadRequest || !strings.Contains(page, linkNoLongerWorks) {
					failures <- fmt.Sprint(status, err, page)
				}
			}
		})
	}
	group.Wait()
	close(failures)
	for failure := range failures {
		t.Error(failure)
	}
	wrapping, err := http.NewRequest(http.MethodGet, w.callback+"?code=x&state=y", nil)
	require.NoError(t, err)
	wrapping.Header.Set("X-Vault-Wrap-TTL", "720h")
	resp, err := http.DefaultClient.Do(wrapping)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	require.Equal(t, before, w.storedKeys(t))
	require.Zero(t, w.Count(""), "IMS was asked")
	w.requireUnauthorized(t)

	// The person comes back meanwhile, and again by the browser's back button.
	status, page, err := get(w.callback + "?" + query.Encode())
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, page, "Access granted")
	status, _, err = get(w.callback + "?" + query.Encode())
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, status)
	w.requireAuthorized(t)
	require.Equal(t, 1, w.mints())
	w.requireNotLogged(t)
}

// get requests a page as a browser without any Vault token does.
func get(address string) (status int, page string, err error) {
	resp, err := http.Get(address)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if kind := resp.Header.Get("Content-Type"); err == nil && !strings.HasPrefix(kind, "text/html") {
		err = fmt.Errorf("it is %s", kind)
	}
	return resp.StatusCode, string(body), err
}

// browser is a tab of a headless browser with a profile of its own.
type browser struct {
	tab context.Context

	mu         sync.Mutex
	violations []string // of a Content-Security-Policy
	requests   []string // of the page that is shown
}

// startBrowser starts the browser that is installed. Without one the test is left out, but not in CI.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	path := findBrowser()
	if path == "" && os.Getenv("CI") == "true" {
		t.Fatal("no browser is installed: install Debian's chromium, as .ci/run does")
	}
	if path == "" {
		t.Skip("no browser is installed: this needs Chromium or Chrome, such as Debian's package chromium")
	}
	options := chromedp.DefaultExecAllocatorOptions[:]
	options = append(options, chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(640, 440),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true))
	b := &browser{}
	allocator, closeAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	deadline, cancel := context.WithTimeout(allocator, 2*time.Minute)
	tab, closeTab := chromedp.NewContext(deadline, chromedp.WithListener(b.notice))
	b.tab = tab
	t.Cleanup(func() {
		closeTab() // and with it the browser
		cancel()
		closeAllocator()
	})
	_, err := chromedp.Call(tab, audits.Enable, cdp.Empty{})
	require.NoError(t, err, "start %s", path)
	return b
}

func findBrowser() string {
	for _, name := range []string{
		"chromium", "google-chrome", "google-chrome-stable", "chromium-browser",
		"/Applications/Chromium.app/Contents/MacOS/Chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// notice is called with all that happens in the tab.
func (b *browser) notice(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch event := event.(type) {
	case *network.EventRequestWillBeSent:
		if event.Type == network.ResourceTypeDocument {
			b.requests = nil
		}
		b.requests = append(b.requests, event.Request.URL)
	case *log.EventEntryAdded:
		if event.Entry.Source == log.EntrySourceSecurity {
			b.violations = append(b.violations, event.Entry.Text)
		}
	case *audits.EventIssueAdded:
		if event.Issue.Code == audits.InspectorIssueCodeContentSecurityPolicyIssue {
			b.violations = append(b.violations, event.Issue.Details.ContentSecurityPolicyIssueDetails.ViolatedDirective)
		}
	}
}

// open goes to an address and returns the status of the answer.
func (b *browser) open(t *testing.T, address string) int {
	t.Helper()
	resp, err := chromedp.Run(b.tab, chromedp.NavigateResponse(address))
	require.NoError(t, err, "open %s", address)
	return int(resp.Status)
}

// press clicks the button of a decision and returns the status of the page that it leads to.
func (b *browser) press(t *testing.T, decision string) int {
	t.Helper()
	resp, err := chromedp.RunResponse(b.tab, chromedp.Click(chromedp.CSS("button[value="+decision+"]")))
	require.NoError(t, err, "press %s", decision)
	return int(resp.Status)
}

// enter types text into a field, in place of what is there.
func (b *browser) enter(t *testing.T, field, text string) {
	t.Helper()
	require.NoError(t, chromedp.Do(b.tab, chromedp.Clear(chromedp.ID(field)), chromedp.SendKeys(chromedp.ID(field), text)))
}

func (b *browser) location(t *testing.T) string {
	t.Helper()
	location, err := chromedp.Run(b.tab, chromedp.Location())
	require.NoError(t, err)
	return location
}

// outline is what a screen reader has to go by: the roles and names of the page's elements.
func (b *browser) outline(t *testing.T) []string {
	t.Helper()
	tree, err := chromedp.Call(b.tab, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	require.NoError(t, err)
	text := func(value *accessibility.Value) (s string) {
		if value != nil {
			_ = json.Unmarshal(value.Value, &s) // what is no string stays empty
		}
		return s
	}
	var outline []string
	for _, node := range tree.Nodes {
		if !node.Ignored {
			outline = append(outline, strings.TrimSpace(text(node.Role)+" "+text(node.Name)))
		}
	}
	return outline
}

// evaluate returns what a JavaScript expression in the page comes to; a promise is awaited.
func evaluateInPage[T any](t *testing.T, b *browser, expression string) T {
	t.Helper()
	value, err := chromedp.Run(b.tab, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(t, err)
	return value
}

func (b *browser) requireSignInPage(t *testing.T) {
	t.Helper()
	outline := b.outline(t)
	for _, element := range []string{"main", "heading Sign in and give access", "textbox E-mail address", "button Allow access", "button Deny"} {
		require.Contains(t, outline, element)
	}
}

// requireCallbackPage wants Vault's own page with this heading, complete without any other request.
func (b *browser) requireCallbackPage(t *testing.T, w *webApp, heading string) {
	t.Helper()
	location := b.location(t)
	require.True(t, strings.HasPrefix(location, w.callback), location)
	outline := b.outline(t)
	require.Contains(t, outline, "main")
	require.Contains(t, outline, "heading "+heading)
	require.Contains(t, outline, "RootWebArea "+heading+" – Vault", "the title")

	style := evaluateInPage[map[string]string](t, b, `(({borderTopStyle, paddingTop}) => ({borderTopStyle, paddingTop}))(getComputedStyle(document.querySelector("main")))`)
	require.Equal(t, map[string]string{"borderTopStyle": "solid", "paddingTop": "32px"}, style, "its style was refused")
	html := evaluateInPage[string](t, b, "document.documentElement.outerHTML")
	u, err := url.Parse(location)
	require.NoError(t, err)
	for name, values := range u.Query() {
		require.NotContains(t, html, values[0], "the page gives %s away", name)
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	require.Equal(t, []string{location}, b.requests)
	require.Empty(t, b.violations)
}

// requirePolicyInForce wants the page's Content-Security-Policy to refuse what somebody might get into the
// page, and the browser to log it: that none was logged before then means something.
func (b *browser) requirePolicyInForce(t *testing.T) {
	t.Helper()
	for directive, element := range map[string]string{
		"script-src-elem": `Object.assign(document.createElement("script"), {textContent: "document.title = 'mine'"})`,
		"style-src-elem":  `Object.assign(document.createElement("style"), {textContent: "main { display: none }"})`,
		"img-src":         `Object.assign(document.createElement("img"), {src: "/favicon.ico"})`,
	} {
		require.Equal(t, directive, evaluateInPage[string](t, b, `new Promise(done => {
			document.addEventListener("securitypolicyviolation", event => done(event.effectiveDirective), {once: true})
			document.body.append(`+element+`)
			setTimeout(done, 10000, "nothing was refused")
		})`))
		vaulttest.WaitFor(t, 10*time.Second, "the browser to report "+directive, func() error {
			b.mu.Lock()
			defer b.mu.Unlock()
			if !slices.Contains(b.violations, directive) {
				return fmt.Errorf("it has reported %q", b.violations)
			}
			return nil
		})
	}
}

// screenshot stores what the tab shows, if SCREENSHOTS names a folder. Those in docs/images are made by
//
//	SCREENSHOTS=$PWD/docs/images go test ./test -run TestSignInWithBrowser
func (b *browser) screenshot(t *testing.T, name string) {
	t.Helper()
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		return
	}
	png, err := chromedp.Run(b.tab, chromedp.FullScreenshot(100)) // 100: PNG
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, name), png, 0o644))
}
