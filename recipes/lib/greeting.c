// SPDX-License-Identifier: GPL-2.0
/* Greets whom its parameter names: in the kernel's log when it is loaded, and whoever reads /proc/greeting. */

#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

static char *name = "world";
module_param(name, charp, 0444);
MODULE_PARM_DESC(name, "whom to greet");

static int greeting_show(struct seq_file *file, void *data)
{
	seq_printf(file, "hello, %s\n", name);
	return 0;
}

static int __init greeting_init(void)
{
	if (!proc_create_single("greeting", 0444, NULL, greeting_show))
		return -ENOMEM;
	pr_info("greeting: hello, %s\n", name);
	return 0;
}
module_init(greeting_init);

static void __exit greeting_exit(void)
{
	remove_proc_entry("greeting", NULL);
}
module_exit(greeting_exit);

MODULE_DESCRIPTION("Greets whom its parameter names");
MODULE_LICENSE("GPL");
