package app

import (
	"context"
	"errors"
	"time"

	"gatehouse/store"
)

// refreshEvery is how often a replica looks by itself whether others have written, should it not hear of it.
const refreshEvery = 5 * time.Second

// channel is what the triggers of people, tokens and policy notify.
const channel = "gatehouse"

// refresh reads what other replicas have written of people, tokens and rules, if they have.
func (a *App) refresh(ctx context.Context) (changed bool, err error) {
	people, err := a.people.Refresh(ctx)
	tokens, other := a.tokens.Refresh(ctx)
	_, third := a.policy.Refresh(ctx) // no list of tools and no stream depends on them
	return people || tokens, errors.Join(err, other, third)
}

// follow refreshes as soon as another replica has written, so that streams end and snapshots are seldom stale. Nothing
// depends on it: what was decided with an older snapshot is found out by the log.
func (a *App) follow(ctx context.Context, source store.Source) {
	ctx, stop := context.WithCancel(ctx)
	heard := make(chan struct{}, 1)
	a.following.Go(func() {
		store.Listen(ctx, source, channel, func() {
			select {
			case heard <- struct{}{}:
			default:
			}
		})
	})
	a.following.Go(func() {
		tick := time.NewTicker(refreshEvery)
		defer tick.Stop()
		for {
			select {
			case <-heard:
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if changed, err := a.refresh(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn("what other replicas wrote cannot be read", "error", err)
			} else if changed {
				a.Gate.RightsChanged()
			}
		}
	})
	a.onClose(func() error {
		stop()
		a.following.Wait()
		return nil
	})
}

// turn reports whether a job is to be done by this replica now.
func (a *App) turn(ctx context.Context, name string, every time.Duration) bool {
	mine, err := a.Log.Turn(ctx, name, every)
	if err != nil && ctx.Err() == nil {
		a.log.Warn("a job was left out", "job", name, "error", err)
	}
	return mine && err == nil
}
