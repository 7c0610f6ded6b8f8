// SPDX-License-Identifier: Apache-2.0

// Package respwriter holds the one http.ResponseWriter wrapper of this module.
//
// A [Writer] sees what a handler answers (the status, the bytes of the body, and
// whether the answer has begun) and takes nothing away from the writer below it:
// flushing, sendfile, 1xx answers, trailers, connection upgrades and deadlines
// work as they do without it.
//
//	var w respwriter.Writer
//	w.Init(rw)
//	next.ServeHTTP(&w, r)
//	log(w.Status(), w.Bytes())
//
// It is not a buffer: nothing is held back, so nothing can be taken back either.
// It changes no header. It does not implement [net/http.Pusher] (browsers have
// given up server push) nor the deprecated net/http.CloseNotifier; a handler
// that asks for them sees that they are missing.
//
// # Cost
//
// A Writer lies in the memory of its owner, and no method allocates by itself.
package respwriter
