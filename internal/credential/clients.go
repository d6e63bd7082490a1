// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"sync"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/entry"
)

// clients keeps the clients of IMS that configs in memory use. Configs that
// reach the same server in the same way share one. It is closed with the last
// of them; requests under way, and those of who got it before, go on.
type clients struct {
	pool *ims.Pool

	// current has the *Credential of each config that counts as a user, so that
	// a read of what is known takes no lock.
	current sync.Map

	mu   sync.Mutex
	uses map[string]use // by name of the config
	kept map[ims.Options]*keptClient
	// released counts what was released: a read that began before must not make
	// its config a user.
	released uint64
}

// use is how a config reaches IMS.
type use struct {
	options  ims.Options
	revision uint64
}

type keptClient struct {
	users  int
	client *ims.Client // nil until it is asked for
}

func newClients(pool *ims.Pool) *clients {
	return &clients{pool: pool, uses: map[string]use{}, kept: map[ims.Options]*keptClient{}}
}

// options is how the server at url is reached as the config says.
func options(c *Credential, url string) ims.Options {
	return ims.Options{URL: url, CACert: c.CACert, Timeout: c.RequestTimeout, MaxRetries: c.MaxRetries}
}

// began is to be called before a config is read that is to become a user.
func (k *clients) began() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.released
}

// enter makes a config a user, in place of an older revision of it. It does
// nothing if anything was released since the read began: the config may be out
// of memory by now. The next read makes up for it.
func (k *clients) enter(name string, stored entry.Stored[Credential], began uint64) {
	next := use{options: options(stored.Value, stored.Value.IMSURL), revision: stored.Revision}
	k.mu.Lock()
	last, known := k.uses[name]
	if k.released != began || known && last.revision >= next.revision {
		k.mu.Unlock()
		return
	}
	k.uses[name] = next
	k.current.Store(name, stored.Value)
	kept := k.kept[next.options]
	if kept == nil {
		kept = &keptClient{}
		k.kept[next.options] = kept
	}
	kept.users++
	var unused *ims.Client
	if known {
		unused = k.leave(last)
	}
	k.mu.Unlock()
	closeClient(unused)
}

// isCurrent reports whether the config is a user as it is.
func (k *clients) isCurrent(name string, c *Credential) bool {
	current, ok := k.current.Load(name)
	return ok && current == c
}

// release makes a config a user no more.
func (k *clients) release(name string) {
	k.mu.Lock()
	k.released++
	last, known := k.uses[name]
	delete(k.uses, name)
	k.current.Delete(name)
	var unused *ims.Client
	if known {
		unused = k.leave(last)
	}
	k.mu.Unlock()
	closeClient(unused)
}

// releaseAll is release for every config.
func (k *clients) releaseAll() {
	k.mu.Lock()
	names := make([]string, 0, len(k.uses))
	for name := range k.uses {
		names = append(names, name)
	}
	k.mu.Unlock()
	for _, name := range names {
		k.release(name)
	}
}

// leave counts a user out and returns the client that is to be closed, if it
// was the last. It is called with mu held.
func (k *clients) leave(u use) (unused *ims.Client) {
	kept := k.kept[u.options]
	kept.users--
	if kept.users > 0 {
		return nil
	}
	delete(k.kept, u.options)
	return kept.client
}

func closeClient(c *ims.Client) {
	if c != nil {
		c.Close()
	}
}

// get returns the client for the options, and a function to be called when it
// is not needed any more. That closes a client that no config in memory uses.
func (k *clients) get(o ims.Options) (client *ims.Client, done func(), err error) {
	if client, _ := k.keep(o, nil); client != nil {
		return client, func() {}, nil
	}
	made, err := ims.New(k.pool, o)
	if err != nil {
		return nil, nil, err
	}
	kept, used := k.keep(o, made)
	switch {
	case !used:
		return made, made.Close, nil
	case kept != made:
		made.Close() // somebody was faster
	}
	return kept, func() {}, nil
}

// keep returns the client that is kept for the options, which is the one that
// was just made if there was none; and whether configs use it. It may be nil.
func (k *clients) keep(o ims.Options, made *ims.Client) (client *ims.Client, used bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	kept := k.kept[o]
	if kept == nil {
		return nil, false
	}
	if kept.client == nil {
		kept.client = made
	}
	return kept.client, true
}
