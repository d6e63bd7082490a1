// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"maps"
	"net/http"
)

//go:embed pages
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

func writeSignInPage(w http.ResponseWriter, path string, a *authorizeRequest) {
	params := maps.Clone(a.params)
	maps.DeleteFunc(params, func(name string, _ []string) bool { return name == "email" || name == "decision" }) // the form's own
	writePage(w, http.StatusOK, "signin.html", map[string]any{
		"Action": path,
		"Client": a.client.ID,
		"Scopes": a.granted,
		"Params": params,
		"Person": defaultPerson,
	})
}

func writeErrorPage(w http.ResponseWriter, err error) {
	writePage(w, http.StatusBadRequest, "error.html", err.Error())
}

func writePage(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, data); err != nil {
		panic(fmt.Sprintf("emulator: %v", err)) // the page does not fit its data
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // the client may be gone
}
