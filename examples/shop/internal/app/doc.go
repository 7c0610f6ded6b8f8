// SPDX-License-Identifier: Apache-2.0

// Package app puts the shop together: one small file a service, each of which
// is what the main function of that service would be.
//
//	shop, err := app.Start(ctx, app.Config{Dir: dir})   // all in this process
//	shop, err := app.StartProcesses(ctx, cfg, command)  // each in one of its own
//	…
//	err = shop.Stop(ctx)
//
// The services know each other by name only, and find each other in a registry.
package app
