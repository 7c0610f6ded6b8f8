// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// A server lingers half a second on a connection it refuses, so that the
		// client can read why, and Close does not wait for it.
		goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}
