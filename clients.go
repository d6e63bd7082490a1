// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

// maxUnderWay is how many requests one service gets at a time, from all the
// configs of the mount together.
const maxUnderWay = 16

// clients makes the clients of Adobe's services. Each config keeps its client of
// IMS, and so its connections.
type clients struct {
	now func() time.Time

	mu    sync.Mutex
	gates map[string]*semaphore.Weighted // by URL
}

// open gives a config its client.
func (f *clients) open(c *config) (err error) {
	c.client, err = f.forURL(c, c.IMSURL)
	return err
}

// forURL returns a client of the IMS at url that travels as the config says.
func (f *clients) forURL(c *config, url string) (*ims.Client, error) {
	return ims.New(url, f.options(c, url))
}

// console returns a client of the config's Developer Console.
func (f *clients) console(c *config) (*console.Client, error) {
	return console.New(c.ConsoleURL, f.options(c, c.ConsoleURL))
}

func (f *clients) options(c *config, url string) ims.Options {
	return ims.Options{
		CACert:     c.CACert,
		Timeout:    c.RequestTimeout,
		MaxRetries: c.MaxRetries,
		UserAgent:  userAgent,
		Gate:       f.gate(url),
		Now:        f.now,
	}
}

func (f *clients) gate(url string) *semaphore.Weighted {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gates == nil {
		f.gates = map[string]*semaphore.Weighted{}
	}
	if f.gates[url] == nil {
		f.gates[url] = semaphore.NewWeighted(maxUnderWay)
	}
	return f.gates[url]
}
