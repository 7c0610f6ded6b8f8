// SPDX-License-Identifier: Apache-2.0

package discovery

import "errors"

// What back ends, registrars and watchers say. They are wrapped: use errors.Is.
var (
	// ErrUnknownRegistration: the registry knows nothing of the instance: its
	// time to live is over, or the registry lost its memory. The instance has to
	// be registered again.
	ErrUnknownRegistration = errors.New("discovery: unknown registration")
	// ErrForeignNamespace: a registration or a query is for another environment
	// than this process's.
	ErrForeignNamespace = errors.New("discovery: foreign namespace")
	// ErrDuplicateID: another process has registered under the same id.
	ErrDuplicateID = errors.New("discovery: duplicate id")
	// ErrNotVisible: the registry took the registration and does not show it.
	ErrNotVisible = errors.New("discovery: not visible")
	// ErrNoInstances: the registry was asked, and there is no instance that may
	// be called.
	ErrNoInstances = errors.New("discovery: no instances")
	// ErrNotAnswered: the registry has not said anything yet, and nothing is known
	// from before.
	ErrNotAnswered = errors.New("discovery: the registry has not answered yet")
	// ErrStale: what was known is older than the most that is allowed.
	ErrStale = errors.New("discovery: last known instances are too old")
	// ErrNotStored: a [Store] has nothing for a query.
	ErrNotStored = errors.New("discovery: nothing stored")
	// ErrClosed: what was called is closed.
	ErrClosed = errors.New("discovery: closed")
)
