"""The rollout function: what CloudFormation cannot do itself while `root` is deployed."""
