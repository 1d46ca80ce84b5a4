// Judges CloudFormation templates by the packs of cdk-nag and AWS Control Tower's proactive rules.
// node packs.cjs TEMPLATE... writes [{template, resource, rule, message}] to stdout; NODE_PATH says where the packs are.
"use strict";
const { App, Stack } = require("aws-cdk-lib");
const { CfnInclude } = require("aws-cdk-lib/cloudformation-include");
const { CfnGuardValidator } = require("@cdklabs/cdk-validator-cfnguard");
const nag = require("cdk-nag");

const PACKS = [
  nag.AwsSolutionsChecks,
  nag.PCIDSS321Checks,
  nag.HIPAASecurityChecks,
  nag.NIST80053R5Checks,
  nag.ServerlessChecks,
];

function nagged(template) {
  const stack = new Stack(new App(), "Stack");
  new CfnInclude(stack, "T", { templateFile: template });
  return PACKS.flatMap((Pack) =>
    new Pack(stack, { verbose: true }).validateScope(stack).violations.flatMap((violation) =>
      violation.violatingResources.map((resource) => ({
        template,
        resource: resource.constructPath.split("/").at(-1),
        rule: violation.ruleName,
        message: violation.description,
      })),
    ),
  );
}

function guarded(template) {
  const guard = new CfnGuardValidator({ maxBuffer: 2 ** 28 });
  return guard.validate({ templatePaths: [template] }).violations.flatMap((violation) =>
    violation.violatingResources.map((resource) => ({
      template,
      resource: resource.resourceLogicalId,
      rule: `ControlTower-${violation.ruleName}`,
      message: violation.description,
    })),
  );
}

const findings = process.argv.slice(2).flatMap((template) => [...nagged(template), ...guarded(template)]);
process.stdout.write(JSON.stringify(findings));
