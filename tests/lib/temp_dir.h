/* temp_dir.h - a directory of a test's own, on the heap; temp_dir_free removes it and all in it. */
#ifndef TESTS_LIB_TEMP_DIR_H
#define TESTS_LIB_TEMP_DIR_H

char *temp_dir_new(void);
void temp_dir_free(char *dir);
/* "<dir>/<name>", on the heap (mem_free). */
char *temp_dir_path(const char *dir, const char *name);
/* Writes a text file, making the directories on the way. */
void temp_dir_write(const char *dir, const char *name, const char *text);

#endif
