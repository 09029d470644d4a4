package app

import (
	"context"
	"errors"

	"gatehouse/module"
	policies "gatehouse/module/policy"
	"gatehouse/policy"
)

// rules starts the module policy with the rules of the configuration.
func (a *App) rules(ctx context.Context, kit module.Kit) (err error) {
	var c policies.Config
	for _, r := range a.file.Policy {
		then, err := policy.ParseDecision(r.Then)
		if err != nil {
			return r.Wrap("then", errors.New("then is none of allow, ask, refuse"))
		}
		c.Rules = append(c.Rules, policy.Rule{
			Name: r.Name, Tool: r.Tool, When: r.When, Then: then, Reason: r.Reason, Shadow: r.Shadow,
			Terms: policy.Terms{Decide: r.Decide, FourEyes: r.FourEyes, Expire: r.Expire},
		})
	}
	a.policy, err = policies.New(ctx, kit, c)
	return a.placed(err)
}

// placed puts the place in the configuration before what is wrong with a rule of it.
func (a *App) placed(err error) error {
	var bad *policies.RuleError
	if errors.As(err, &bad) {
		return a.file.Policy[bad.Rule].Wrap(bad.Field, bad)
	}
	return err
}
